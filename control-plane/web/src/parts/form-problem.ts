/** Puts the server's word on a form: rules beside their fields, everything else to be shown above it. */

import type { FormInstance } from "antd";
import type { Problem } from "../api/problem.ts";
import { ruleText } from "./problem-text.ts";

/**
 * Marks the fields that broke a rule, and brings the first into view. Answers the problem when something is left to say about it:
 * it is not about fields, or about fields the form does not have.
 */
export function markFields(form: FormInstance, problem: Problem): Problem | null {
  const values: unknown = form.getFieldsValue(true);
  const errors = new Map<string, { name: string[]; errors: string[] }>();
  let ours = 0;
  for (const field of problem.fields) {
    const name = fieldOf(values, field.field);
    if (!name) continue;
    ours += 1;
    const marked = errors.get(name.join(".")) ?? { name, errors: [] };
    marked.errors.push(ruleText(field));
    errors.set(name.join("."), marked);
  }
  const marked = [...errors.values()];
  form.setFields(marked);
  if (marked[0]) form.scrollToField(marked[0].name, { block: "center" });
  return ours > 0 && ours === problem.fields.length ? null : problem;
}

/**
 * The field of a form that a path of the API is about: as far down as the form's values go. `models[2]` is about the field `models`,
 * `settings.status_mapping.404` about the list `status_mapping` within `settings`.
 */
export function fieldOf(values: unknown, path: string): string[] | null {
  const name: string[] = [];
  let within = values;
  for (const step of path.split(/[.[\]]/).filter(step => step !== "")) {
    if (!isObject(within) || !(step in within)) break;
    name.push(step);
    within = within[step];
  }
  return name.length === 0 || isObject(within) ? null : name;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
