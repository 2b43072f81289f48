import { describe, expect, it } from "vitest";
import { type Facts, isComplete, stepsFrom } from "./progress.ts";

const fresh: Facts = {
  isAdmin: true,
  enabledChannels: 0,
  pricedModels: 0,
  available: 0,
  startedEmpty: true,
  tokens: 0,
  requests: 0,
};
const current = (facts: Facts) => stepsFrom(facts)?.find(step => step.isCurrent)?.name;

describe("the first steps", () => {
  it("begin with a channel", () => {
    expect(current(fresh)).toBe("channel");
  });

  it("begin with credit where the demo channel is there with its price", () => {
    expect(current({ ...fresh, enabledChannels: 1, pricedModels: 1 })).toBe("credit");
    expect(current({ ...fresh, enabledChannels: 1, pricedModels: 1, available: 1 })).toBe("token");
  });

  it("do not mention credit to who has some", () => {
    const steps = stepsFrom({ ...fresh, available: 1, startedEmpty: false });
    expect(steps?.map(step => step.name)).toEqual(["channel", "price", "token", "request"]);
  });

  it("do not go back to credit when it is used up", () => {
    const facts = { ...fresh, enabledChannels: 1, pricedModels: 1, tokens: 1, requests: 1, available: 0 };
    expect(current(facts)).toBeUndefined();
  });

  it("point at the price when only that is missing", () => {
    expect(current({ ...fresh, enabledChannels: 1, available: 1, tokens: 1, requests: 1 })).toBe("price");
  });

  it("are three for who may not make channels", () => {
    const facts = {
      ...fresh,
      isAdmin: false,
      enabledChannels: undefined,
      pricedModels: undefined,
      available: 9,
      tokens: 1,
    };
    expect(stepsFrom(facts)?.map(step => step.name)).toEqual(["credit", "token", "request"]);
    expect(current(facts)).toBe("request");
  });

  it("are not shown before everything is known", () => {
    expect(stepsFrom({ ...fresh, requests: undefined })).toBeUndefined();
    expect(stepsFrom({ ...fresh, pricedModels: undefined })).toBeUndefined();
  });

  it("end", () => {
    const steps = stepsFrom({
      isAdmin: true,
      enabledChannels: 1,
      pricedModels: 2,
      available: 5,
      startedEmpty: false,
      tokens: 1,
      requests: 3,
    });
    expect(steps && isComplete(steps)).toBe(true);
  });
});
