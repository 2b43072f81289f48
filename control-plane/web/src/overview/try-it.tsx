import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Alert, Button } from "antd";
import { useEffect, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { noteActivity } from "../api/pace.ts";
import { BALANCE_KEY } from "../api/people.ts";
import { useBaseUrl } from "../api/status.ts";
import { streamChat } from "./stream-chat.ts";

/** Sends the first request from here, with the person's own key, straight to the relay. */
export function TryIt({ apiKey, model }: { apiKey: string; model: string }) {
  const { t } = useTranslation();
  const baseUrl = useBaseUrl();
  const client = useQueryClient();
  const [answer, setAnswer] = useState("");
  const running = useRef<AbortController>(undefined);
  useEffect(() => () => running.current?.abort(), []);

  const send = useMutation({
    mutationFn: async () => {
      running.current?.abort();
      running.current = new AbortController();
      setAnswer("");
      noteActivity();
      await streamChat(baseUrl, apiKey, model, t("start.question"), setAnswer, running.current.signal);
    },
    onSettled: () => {
      noteActivity();
      client.invalidateQueries({ queryKey: ["requests", "recent"] });
      client.invalidateQueries({ queryKey: BALANCE_KEY });
    },
  });
  return (
    <>
      <Button type="primary" loading={send.isPending && { delay: 200 }} onClick={() => send.mutate()}>
        {t("start.send", { model })}
      </Button>
      {answer !== "" && (
        <output className="answer" aria-live="polite">
          {answer}
        </output>
      )}
      {send.error && (
        <Alert type="error" showIcon role="alert" title={t("start.refused")} description={send.error.message} />
      )}
    </>
  );
}
