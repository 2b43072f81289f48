import { type QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { App as Components, ConfigProvider } from "antd";
import { useLayoutEffect } from "react";
import { useLanguage } from "./i18n/i18n.ts";
import type { makeRouter } from "./router.tsx";
import { useMotion, useShade } from "./theme/mode.ts";
import { applyPalette, componentTheme } from "./theme/palette.ts";

interface AppProps {
  queries: QueryClient;
  router: ReturnType<typeof makeRouter>;
}

/** The console: colours, language, answers, pages. */
export function App({ queries, router }: AppProps) {
  const shade = useShade();
  const motion = useMotion();
  const { components } = useLanguage();
  useLayoutEffect(() => applyPalette(document.documentElement, shade), [shade]);
  return (
    <ConfigProvider theme={componentTheme(shade, motion)} locale={components}>
      {/* messages and dialogs are shown by Components, so what they show can ask for answers as well */}
      <QueryClientProvider client={queries}>
        <Components component={false}>
          <RouterProvider router={router} />
        </Components>
      </QueryClientProvider>
    </ConfigProvider>
  );
}
