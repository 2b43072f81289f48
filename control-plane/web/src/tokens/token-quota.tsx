import { Progress } from "antd";
import { useTranslation } from "react-i18next";
import type { Token } from "../api/tokens.ts";
import { Usd } from "../parts/amounts.tsx";

/** What a token may still spend. */
export function TokenQuota({ token }: { token: Token }) {
  const { t } = useTranslation();
  const left = token.quota_remaining ?? null;
  if (left === null) {
    return (
      <span className="muted">
        {t("tokens.limit_none")} · {t("tokens.used")} <Usd units={token.quota_used} />
      </span>
    );
  }
  const total = token.quota ?? 0;
  const share = total > 0 ? (Math.max(left + token.quota_held, 0) / total) * 100 : 0;
  return (
    <div style={{ minWidth: 120 }}>
      <Usd units={left} />
      <Progress
        percent={share}
        showInfo={false}
        size="small"
        status={left <= 0 ? "exception" : "normal"}
        aria-label={t("tokens.quota_share", { percent: Math.round(share) })}
      />
    </div>
  );
}
