import { describe, expect, it } from "vitest";
import { checkPassword, isAcceptable, strengthOf } from "./password-strength.ts";

describe("a password", () => {
  it("is acceptable when it is long, varied and not the name", () => {
    expect(isAcceptable(checkPassword("correct horse battery", "ana"))).toBe(true);
  });

  it("names the rule it breaks", () => {
    expect(checkPassword("short", "ana").isLongEnough).toBe(false);
    expect(checkPassword("my-administrator-1", "Administrator").isNotTheName).toBe(false);
    expect(checkPassword("aaaaaaaaaaaaaaa", "ana").isVaried).toBe(false);
    expect(checkPassword("", "").isNotTheName).toBe(false);
  });

  it("may contain a username of one or two letters", () => {
    expect(checkPassword("kettle harbour", "k").isNotTheName).toBe(true);
    expect(checkPassword("kettle harbour", "ha").isNotTheName).toBe(true);
    expect(checkPassword("kettle harbour", "har").isNotTheName).toBe(false);
  });

  it("counts characters as people do", () => {
    expect(checkPassword("密码密码密码密码密码密码", "ana").isLongEnough).toBe(true);
    expect(checkPassword("😀😁😂😃😄😅", "ana").isLongEnough).toBe(false);
  });

  it("is stronger with more different characters, not with repeated ones", () => {
    expect(strengthOf("abababababababab")).toBe("weak");
    expect(strengthOf("tr0ub4dor&3x")).toBe("strong");
    expect(strengthOf("correct horse battery staple")).toBe("strong");
    expect(strengthOf("password1234")).toBe("fair");
  });
});
