import { describe, expect, it } from "vitest";
import { formatUsd, formatUsdDecimal, MAX_UNITS, parseDecimal, parseUsd, usdText } from "./money.ts";

describe("units as dollars", () => {
  it("every unit is shown", () => {
    expect(usdText(1)).toBe("0.000002");
    expect(usdText(500_000)).toBe("1.000000");
    expect(usdText(-1)).toBe("-0.000002");
    expect(usdText(MAX_UNITS)).toBe("18014398509.481982");
  });

  it("another rate is rounded half away from zero, once", () => {
    expect(usdText(1, 3)).toBe("0.333333");
    expect(usdText(2, 3)).toBe("0.666667");
    expect(usdText(1, 2_000_000)).toBe("0.000001");
    expect(usdText(-1, 2_000_000)).toBe("-0.000001");
    expect(usdText(-1, 5_000_000)).toBe("0.000000");
  });

  it("people see cents, and more only where there is more", () => {
    expect(formatUsd(5_000_000, "en")).toBe("$10.00");
    expect(formatUsd(4_996_250, "en")).toBe("$9.9925");
    expect(formatUsd(87, "en")).toBe("$0.000174");
    expect(formatUsd(-250_000, "en")).toBe("-$0.50");
    expect(formatUsd(617_283_945_000, "en")).toBe("$1,234,567.89");
  });

  it("the locale decides about points and signs", () => {
    expect(formatUsd(6_172_839_450, "fr").replace(/\s/g, " ")).toBe("12 345,6789 $");
    expect(formatUsd(500_000, "ja")).toBe("$1.00");
    expect(formatUsd(500_000, "zh-CN")).toBe("$1.00");
  });

  it("prices keep the places they were given", () => {
    expect(formatUsdDecimal("2.5", "en")).toBe("$2.50");
    expect(formatUsdDecimal("0.0000125", "en")).toBe("$0.0000125");
  });
});

describe("typed dollars", () => {
  it("are read to the unit", () => {
    expect(parseUsd("10", "en")).toEqual({ ok: true, units: 5_000_000 });
    expect(parseUsd(" $0.000002 ", "en")).toEqual({ ok: true, units: 1 });
    expect(parseUsd(".5", "en")).toEqual({ ok: true, units: 250_000 });
    expect(parseUsd("0.30", "en")).toEqual({ ok: true, units: 150_000 });
    expect(parseUsd("0", "en")).toEqual({ ok: true, units: 0 });
  });

  it("are read as the locale writes them", () => {
    expect(parseUsd("1,234.5", "en")).toEqual({ ok: true, units: 617_250_000 });
    expect(parseUsd("12,5", "fr")).toEqual({ ok: true, units: 6_250_000 });
    expect(parseUsd("1 234,5 $", "fr")).toEqual({ ok: true, units: 617_250_000 });
    expect(parseUsd("12,5", "en")).toEqual({ ok: false, fault: "not_a_number" });
  });

  it("say why they are no amount", () => {
    expect(parseUsd("", "en")).toEqual({ ok: false, fault: "empty" });
    expect(parseUsd("ten", "en")).toEqual({ ok: false, fault: "not_a_number" });
    expect(parseUsd("1e9", "en")).toEqual({ ok: false, fault: "not_a_number" });
    expect(parseUsd("1.2.3", "en")).toEqual({ ok: false, fault: "not_a_number" });
    expect(parseUsd("-1", "en")).toEqual({ ok: false, fault: "negative" });
    expect(parseUsd("0.000001", "en")).toEqual({ ok: false, fault: "too_precise" });
    expect(parseUsd("99999999999", "en")).toEqual({ ok: false, fault: "too_large" });
  });

  it("come back as the same dollars", () => {
    for (const units of [1, 3, 499_999, 500_001, 123_456_789, MAX_UNITS]) {
      expect(parseUsd(formatUsd(units, "en"), "en")).toEqual({ ok: true, units });
      expect(parseUsd(formatUsd(units, "fr"), "fr")).toEqual({ ok: true, units });
    }
  });
});

describe("typed decimals", () => {
  it("become plain text without needless zeros", () => {
    expect(parseDecimal("2.50", "en")).toBe("2.5");
    expect(parseDecimal("0,15", "fr")).toBe("0.15");
    expect(parseDecimal("007", "en")).toBe("7");
    expect(parseDecimal(".5", "en")).toBe("0.5");
  });

  it("are refused when they are none", () => {
    for (const typed of ["", "-1", "x", "1e3", "1.2345678901", "."]) expect(parseDecimal(typed, "en")).toBeNull();
  });
});
