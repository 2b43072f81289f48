/** The words of a problem: ours where its code is known, else the server's. */

import i18next from "i18next";
import { useCallback } from "react";
import { useTranslation } from "react-i18next";
import type { FieldProblem, Problem } from "../api/problem.ts";

/** Problems whose title says everything: what the server adds would say it twice. */
const SAY_IT_ALL = new Set(["bad_credentials", "not_signed_in", "already_set_up"]);

/** A problem in words. */
export interface ProblemText {
  title: string;
  detail: string;
  requestId: string;
}

/** Puts problems into the reader's language. */
export function useProblemText(): (problem: Problem) => ProblemText {
  const { t } = useTranslation();
  return useCallback(
    problem => {
      const waits = problem.retryAfterSecs === undefined ? "" : t("problem.wait", { seconds: problem.retryAfterSecs });
      const title = translated(`problems.${problem.code}`) ?? problem.title;
      const rules = problem.fields.map(field => `${field.field}: ${field.detail}`).join("; ");
      const said = rules || problem.detail;
      return { title, detail: waits || (SAY_IT_ALL.has(problem.code) ? "" : said), requestId: problem.requestId };
    },
    [t],
  );
}

/** A rule that a field broke, in the reader's language where its code says it all. */
export function ruleText(field: FieldProblem): string {
  return translated(`rules.${field.code}`) ?? field.detail;
}

/** Codes come from the server: one that this build does not know yet has no text. */
function translated(key: string): string | undefined {
  return i18next.exists(key) ? i18next.t(key as "problems.internal") : undefined;
}
