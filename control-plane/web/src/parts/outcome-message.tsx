import { App } from "antd";
import { useCallback } from "react";
import { useTranslation } from "react-i18next";
import { asProblem } from "../api/problem.ts";
import { LiveNote } from "./live-note.tsx";
import { useProblemText } from "./problem-text.ts";
import { randomId } from "./random-id.ts";

const SHOWN_SECS = 6;

/** What a write answers when relays must know of it. */
interface Written {
  config_seq?: number;
}

/** Says how a write ended: done, with a way back where there is one, or what was wrong. */
export function useOutcomeMessage() {
  const { t } = useTranslation();
  const { message } = App.useApp();
  const textOf = useProblemText();
  return useCallback(
    async (work: Promise<Written | void>, done: string, undo?: () => void): Promise<void> => {
      let written: Written | void;
      try {
        written = await work;
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
          {done} {written?.config_seq !== undefined && <LiveNote seq={written.config_seq} />}{" "}
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
