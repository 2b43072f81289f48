/** Puts the server's word on a form: rules beside their fields, everything else to be shown above it. */

import type { FormInstance } from "antd";
import type { Problem } from "../api/problem.ts";
import { ruleText } from "./problem-text.ts";

/**
 * Marks the fields that broke a rule, and brings the first into view. Answers the problem when something is left to say about it:
 * it is not about fields, or about fields the form does not have.
 */
export function markFields(form: FormInstance, problem: Problem): Problem | null {
  const known = Object.keys(form.getFieldsValue(true));
  const ours = problem.fields.filter(field => known.includes(baseName(field.field)));
  const names = [...new Set(ours.map(field => baseName(field.field)))];
  form.setFields(
    names.map(name => ({
      name,
      errors: ours.filter(field => baseName(field.field) === name).map(ruleText),
    })),
  );
  if (names[0] !== undefined) form.scrollToField(names[0], { block: "center" });
  return ours.length > 0 && ours.length === problem.fields.length ? null : problem;
}

/** `models[2]` is about the field `models`. */
function baseName(path: string): string {
  return path.split(/[.[]/)[0] ?? path;
}
