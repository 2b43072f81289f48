import { App } from "antd";
import { useCallback } from "react";
import { useTranslation } from "react-i18next";
import { asProblem } from "../api/problem.ts";
import { LiveNote } from "./live-note.tsx";
import { useProblemText } from "./problem-text.ts";
import { randomId } from "./random-id.ts";

const SHOWN_SECS = 6;

/** Says how a write ended: done, with a way back where there is one, or what was wrong. */
export function useOutcomeMessage() {
  const { t } = useTranslation();
  const { message } = App.useApp();
  const textOf = useProblemText();
  return useCallback(
    async (work: Promise<unknown>, done: string, undo?: () => void): Promise<void> => {
      let seq: number | undefined;
      try {
        seq = configSeqOf(await work);
      } catch (thrown) {
        const { title, detail, requestId } = textOf(asProblem(thrown));
        message.error([title, detail, requestId].filter(Boolean).join(" · "), SHOWN_SECS);
        return;
      }
      const key = randomId();
      const goBack = () => {
        message.destroy(key);
        undo?.();
      };
      const content = (
        <>
          {done} {seq !== undefined && <LiveNote seq={seq} />}{" "}
          {undo && (
            <button type="button" className="plain-button link-button" onClick={goBack}>
              {t("undo")}
            </button>
          )}
        </>
      );
      message.success({ key, content, duration: SHOWN_SECS });
    },
    [t, message, textOf],
  );
}

/** Where a write stands in the order of changes; writes that relays need not know of do not tell. */
function configSeqOf(answer: unknown): number | undefined {
  if (typeof answer !== "object" || answer === null || !("config_seq" in answer)) return undefined;
  return typeof answer.config_seq === "number" ? answer.config_seq : undefined;
}
