/** How far somebody is from their first request, and which step is next. */

/** What is known of a site and a person; `undefined` while it is being asked for. */
export interface Facts {
  isAdmin: boolean;
  enabledChannels: number | undefined;
  /** Models of channels in use that have a price. */
  pricedModels: number | undefined;
  /** Units that can be spent. */
  available: number | undefined;
  /** Whether there was nothing to spend when the page was opened: then that is a step of its own. */
  startedEmpty: boolean;
  tokens: number | undefined;
  requests: number | undefined;
}

export type StepName = "channel" | "price" | "credit" | "token" | "request";

/** One step on the way. */
export interface Step {
  name: StepName;
  isDone: boolean;
  /** The first that is not done. */
  isCurrent: boolean;
}

/** The steps of this person; `undefined` until all facts are known, so that nothing jumps. */
export function stepsFrom(facts: Facts): Step[] | undefined {
  const { isAdmin, enabledChannels, pricedModels, available, startedEmpty, tokens, requests } = facts;
  if (available === undefined || tokens === undefined || requests === undefined) return undefined;
  if (isAdmin && (enabledChannels === undefined || pricedModels === undefined)) return undefined;
  const forAdmins: [StepName, boolean][] = [
    ["channel", (enabledChannels ?? 0) > 0],
    ["price", (pricedModels ?? 0) > 0],
  ];
  const forPoor: [StepName, boolean][] = startedEmpty ? [["credit", available > 0 || requests > 0]] : [];
  const forAll: [StepName, boolean][] = [...forPoor, ["token", tokens > 0], ["request", requests > 0]];
  const all = isAdmin ? [...forAdmins, ...forAll] : forAll;
  const next = all.findIndex(([, isDone]) => !isDone);
  return all.map(([name, isDone], place) => ({ name, isDone, isCurrent: place === next }));
}

/** Whether there is nothing left to do. */
export function isComplete(steps: readonly Step[]): boolean {
  return steps.every(step => step.isDone);
}
