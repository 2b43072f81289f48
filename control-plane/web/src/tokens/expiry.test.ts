import { describe, expect, it } from "vitest";
import { expiresAt, isComing } from "./expiry.ts";

const NOW = Date.parse("2026-11-21T12:00:00Z");

describe("the end of a token", () => {
  it("never comes unless chosen", () => {
    expect(expiresAt("never", "", NOW)).toBeUndefined();
  });

  it("is so many days from here", () => {
    expect(expiresAt("7", "", NOW)).toBe("2026-11-28T12:00:00.000Z");
  });

  it("is the moment one writes, in one's own time zone", () => {
    const local = new Date("2026-12-31T18:00");
    expect(expiresAt("custom", "2026-12-31T18:00", NOW)).toBe(local.toISOString());
  });

  it("must be to come", () => {
    expect(isComing("2026-12-31T18:00", NOW)).toBe(true);
    expect(isComing("2020-01-01T00:00", NOW)).toBe(false);
    expect(isComing("", NOW)).toBe(false);
  });
});
