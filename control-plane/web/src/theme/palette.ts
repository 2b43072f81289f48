/**
 * Colours, once: for our own style sheet as variables on the root element, and for the component library as tokens.
 *
 * Text on its ground keeps 4.5 : 1 (WCAG 2.2 AA) in both palettes; a test measures it.
 */

import { theme as antd, type ThemeConfig } from "antd";

/** What is light and what is dark. */
export type Shade = "light" | "dark";

/** The colours of a shade. */
export interface Palette {
  /** Behind everything. */
  ground: string;
  /** Cards, dialogs, the bar on top. */
  surface: string;
  /** Code, table heads, and what lies a step lower than its card. */
  sunken: string;
  /** Borders. */
  line: string;
  /** Text. */
  ink: string;
  /** Text that is not the first thing to read. */
  muted: string;
  /** Links and what can be pressed. */
  accent: string;
  /** Behind what is chosen. */
  accentSoft: string;
  good: string;
  goodSoft: string;
  warn: string;
  warnSoft: string;
  bad: string;
  badSoft: string;
}

export const palettes: Record<Shade, Palette> = {
  light: {
    ground: "#f6f7f9",
    surface: "#ffffff",
    sunken: "#f2f4f7",
    line: "#e2e6ec",
    ink: "#131a24",
    muted: "#586474",
    accent: "#0b6f8a",
    accentSoft: "#e2f3f7",
    good: "#11734b",
    goodSoft: "#e3f5ec",
    warn: "#8a5300",
    warnSoft: "#fdf1dc",
    bad: "#b3261e",
    badSoft: "#fdeceb",
  },
  dark: {
    ground: "#0d1014",
    surface: "#151a21",
    sunken: "#1c222b",
    line: "#2a323d",
    ink: "#e8ecf2",
    muted: "#9aa6b5",
    accent: "#4fc3dc",
    accentSoft: "#12313a",
    good: "#56d19a",
    goodSoft: "#12301f",
    warn: "#f0b75a",
    warnSoft: "#352610",
    bad: "#ff8f86",
    badSoft: "#3b1917",
  },
};

const FONT =
  'system-ui, -apple-system, "Segoe UI", Roboto, "PingFang SC", "Hiragino Sans", "Noto Sans CJK SC", sans-serif';
const MONO = 'ui-monospace, "SF Mono", Menlo, Consolas, "Noto Sans Mono", monospace';

/** Tokens for the component library. */
export function componentTheme(shade: Shade, motion: boolean): ThemeConfig {
  const palette = palettes[shade];
  const isDark = shade === "dark";
  return {
    algorithm: isDark ? antd.darkAlgorithm : antd.defaultAlgorithm,
    token: {
      motion,
      colorPrimary: isDark ? "#1590ad" : palette.accent,
      colorLink: palette.accent,
      colorBgBase: palette.surface,
      colorTextBase: palette.ink,
      colorBgLayout: palette.ground,
      colorBgContainer: palette.surface,
      colorBgElevated: palette.surface,
      colorBorder: isDark ? "#3d4857" : "#cdd4de",
      colorBorderSecondary: palette.line,
      colorTextSecondary: palette.muted,
      colorTextTertiary: palette.muted,
      colorTextDescription: palette.muted,
      colorTextPlaceholder: isDark ? "#8592a3" : "#6a7686",
      colorError: palette.bad,
      colorErrorBg: palette.badSoft,
      colorErrorBorder: palette.badSoft,
      colorSuccess: palette.good,
      colorSuccessBg: palette.goodSoft,
      colorSuccessBorder: palette.goodSoft,
      colorWarning: palette.warn,
      colorWarningBg: palette.warnSoft,
      colorWarningBorder: palette.warnSoft,
      colorInfo: palette.accent,
      colorInfoBg: palette.accentSoft,
      colorInfoBorder: palette.accentSoft,
      fontFamily: FONT,
      fontFamilyCode: MONO,
      fontSize: 14,
      borderRadius: 8,
      controlHeight: 36,
      motionDurationMid: "0.12s",
      motionDurationSlow: "0.16s",
    },
    components: {
      Button: {
        primaryShadow: "none",
        defaultShadow: "none",
        dangerShadow: "none",
        primaryColor: "#ffffff",
      },
      Form: { itemMarginBottom: 20, verticalLabelPadding: "0 0 6px" },
      Modal: { titleFontSize: 18 },
      Alert: { fontSizeLG: 14, withDescriptionIconSize: 16, withDescriptionPadding: "12px 16px" },
      Tabs: { itemSelectedColor: palette.accent, itemHoverColor: palette.accent, inkBarColor: palette.accent },
    },
  };
}

/** Hands the colours to the style sheet. */
export function applyPalette(root: HTMLElement, shade: Shade): void {
  root.dataset.shade = shade;
  root.style.colorScheme = shade;
  root.style.setProperty("--font", FONT);
  root.style.setProperty("--mono", MONO);
  for (const [name, colour] of Object.entries(palettes[shade])) {
    root.style.setProperty(`--${name.replace(/[A-Z]/g, letter => `-${letter.toLowerCase()}`)}`, colour);
  }
}
