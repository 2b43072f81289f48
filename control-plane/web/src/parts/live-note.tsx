import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { appliedQuery } from "../api/relays.ts";

/** On how many relays a change is live, counting up until it is on all. */
export function LiveNote({ seq }: { seq: number }) {
  const { t } = useTranslation();
  const applied = useQuery(appliedQuery(seq)).data;
  if (!applied || applied.total === 0) return null;
  const kind = applied.is_live_everywhere ? "good" : "plain";
  return (
    <span className={`label label-${kind}`}>{t("live_on", { applied: applied.applied, total: applied.total })}</span>
  );
}
