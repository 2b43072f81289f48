import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { channelsQuery } from "../api/channels.ts";
import type { ExplainedRequest } from "../api/requests.ts";
import { useIsAdmin } from "../api/session.ts";
import { useFormat } from "../format/use-format.ts";

/** Which channels were tried, in order, and how each attempt ended. Who may not see channels learns how many there were. */
export function AttemptList({ row }: { row: ExplainedRequest }) {
  const { t } = useTranslation();
  const { duration } = useFormat();
  const channels = useQuery({ ...channelsQuery, enabled: useIsAdmin() }).data?.items ?? [];
  const attempts = row.attempt_log ?? [];
  if (attempts.length === 0) return <p className="muted">{t("explain.attempt_count", { number: row.attempts })}</p>;
  const nameOf = (id: number) => channels.find(channel => channel.id === id)?.name ?? t("explain.channel", { id });
  return (
    <ol className="attempts">
      {attempts.map((attempt, place) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: attempts have no id but their place
        <li key={place}>
          {nameOf(attempt.channel_id)} ·{" "}
          {attempt.error === "" ? (
            <span className="label label-good">{t("explain.answered")}</span>
          ) : (
            <span className="label label-bad mono">{attempt.error}</span>
          )}
          {attempt.status > 0 && ` · HTTP ${attempt.status}`} · {duration(attempt.duration_ms)}
        </li>
      ))}
    </ol>
  );
}
