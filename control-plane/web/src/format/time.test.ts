import { describe, expect, it } from "vitest";
import { formatCount, formatRatio } from "./count.ts";
import { formatClock, formatDay, formatDuration, formatMoment, formatRelative, zoneName } from "./time.ts";

const NOON = Date.parse("2026-11-21T12:00:00Z");
const bare = (text: string) => text.replace(/[\u00a0\u202f]/g, " ");

describe("moments", () => {
  it("are told in the reader's zone, and the zone is named", () => {
    expect(formatMoment("2026-11-21T10:00:05Z", "en", "Asia/Shanghai")).toBe("Nov 21, 2026, 06:00:05 PM GMT+8");
    expect(bare(formatMoment("2026-11-21T10:00:05Z", "fr", "UTC"))).toBe("21 nov. 2026, 10:00:05 UTC");
    expect(zoneName(NOON, "Asia/Shanghai")).toBe("UTC+8");
    expect(zoneName(NOON, "UTC")).toBe("UTC");
  });

  it("of today need no date", () => {
    expect(formatClock("2026-11-21T10:00:05Z", "en", NOON, "UTC")).toBe("10:00:05");
    expect(formatClock("2026-11-20T10:00:05Z", "en", NOON, "UTC")).toBe("Nov 20, 10:00:05");
    // 17:00 UTC is the next day already in Shanghai
    expect(formatClock("2026-11-20T17:00:00Z", "en", NOON, "Asia/Shanghai")).toBe("01:00:00");
  });

  it("are told by distance", () => {
    expect(formatRelative("2026-11-21T11:59:58Z", "en", NOON)).toBe("2 seconds ago");
    expect(formatRelative("2026-11-21T11:00:00Z", "ja", NOON)).toBe("1 時間前");
    expect(formatRelative("2026-11-24T12:00:00Z", "en", NOON)).toBe("in 3 days");
  });

  it("of a day are dates", () => {
    expect(formatDay("2026-12-31T23:30:00Z", "en", "UTC")).toBe("Dec 31, 2026");
    expect(formatDay("2026-12-31T23:30:00Z", "zh-CN", "Asia/Shanghai")).toBe("2027年1月1日");
  });
});

describe("durations", () => {
  it("keep three figures or so", () => {
    expect(formatDuration(0, "en")).toBe("0ms");
    expect(formatDuration(812.4, "en")).toBe("812ms");
    expect(formatDuration(2410, "en")).toBe("2.41s");
    expect(formatDuration(192_000, "en")).toBe("3m 12s");
    expect(formatDuration(2410, "zh-CN")).toBe("2.41秒");
    expect(bare(formatDuration(2410, "fr"))).toBe("2,41s");
  });
});

describe("counts", () => {
  it("are grouped by the locale", () => {
    expect(formatCount(1234567, "en")).toBe("1,234,567");
    expect(bare(formatCount(1234567, "fr"))).toBe("1 234 567");
  });

  it("ratios keep their places", () => {
    expect(formatRatio("0.0375", "en")).toBe("0.0375");
    expect(formatRatio("1.25", "fr")).toBe("1,25");
  });
});
