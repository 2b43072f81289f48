import { describe, expect, it } from "vitest";
import { applyPalette, palettes, type Shade } from "./palette.ts";

function luminance(colour: string): number {
  const channel = (at: number) => {
    const value = Number.parseInt(colour.slice(at, at + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  };
  return 0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5);
}

function contrast(one: string, other: string): number {
  const [dark = 0, light = 0] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (light + 0.05) / (dark + 0.05);
}

describe.each(["light", "dark"] as Shade[])("the %s palette", shade => {
  const palette = palettes[shade];

  it("keeps text readable on every ground", () => {
    for (const text of [palette.ink, palette.muted, palette.accent]) {
      for (const ground of [palette.ground, palette.surface, palette.sunken]) {
        expect(contrast(text, ground), `${text} on ${ground}`).toBeGreaterThanOrEqual(4.5);
      }
    }
  });

  it("keeps coloured labels readable", () => {
    const labels = [
      [palette.good, palette.goodSoft],
      [palette.warn, palette.warnSoft],
      [palette.bad, palette.badSoft],
      [palette.accent, palette.accentSoft],
    ] as const;
    for (const [text, ground] of labels) expect(contrast(text, ground), text).toBeGreaterThanOrEqual(4.5);
  });

  it("reaches the style sheet", () => {
    const root = document.createElement("div");
    applyPalette(root, shade);
    expect(root.style.getPropertyValue("--accent-soft")).toBe(palette.accentSoft);
    expect(root.dataset.shade).toBe(shade);
  });
});
