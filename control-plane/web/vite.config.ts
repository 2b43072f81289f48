import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

/** Where `npm run dev` finds the API: a running `sluice`. */
const SERVER = process.env.SLUICE_URL ?? "http://127.0.0.1:3000";

export default defineConfig({
  plugins: [react()],
  build: {
    target: "es2022",
    manifest: true,
    // tests of the embedding compare names: only content decides about them
    rolldownOptions: { output: { hashCharacters: "hex" } },
    chunkSizeWarningLimit: 1500,
  },
  server: { proxy: { "/api": SERVER, "/v1": SERVER } },
  test: {
    environment: "happy-dom",
    include: ["src/**/*.test.{ts,tsx}"],
    setupFiles: ["src/test/setup.ts"],
    testTimeout: 30_000,
    restoreMocks: true,
    unstubGlobals: true,
  },
});
