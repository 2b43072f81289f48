import { CheckCircleFilled, MinusCircleOutlined } from "@ant-design/icons";
import { Progress } from "antd";
import { useTranslation } from "react-i18next";
import { ADMIN_LENGTH, checkPassword, type Strength, strengthOf } from "./password-strength.ts";

const SHARE: Record<Strength, number> = { weak: 1, fair: 2, strong: 3 };
const COLOUR: Record<Strength, string> = { weak: "var(--bad)", fair: "var(--warn)", strong: "var(--good)" };

/** The rules, ticked off while the password is typed, and how strong it is. */
export function PasswordHints({ id, password, username }: { id: string; password: string; username: string }) {
  const { t } = useTranslation();
  const rules = checkPassword(password, username);
  const strength = strengthOf(password);
  const lines = [
    { isKept: rules.isLongEnough, text: t("password.long_enough", { number: ADMIN_LENGTH }) },
    { isKept: rules.isVaried, text: t("password.varied") },
    { isKept: rules.isNotTheName, text: t("password.not_the_name") },
  ];
  return (
    <div id={id} className="stack-tight" style={{ marginTop: 6 }}>
      {password !== "" && (
        <div className="row" role="status">
          <Progress
            steps={3}
            size={[36, 6]}
            percent={(SHARE[strength] / 3) * 100}
            showInfo={false}
            strokeColor={COLOUR[strength]}
            aria-hidden
          />
          <span className="muted">{t(`password.${strength}`)}</span>
        </div>
      )}
      {lines.map(({ isKept, text }) => (
        <span key={text} className="row muted" style={{ gap: 8, flexWrap: "nowrap" }}>
          {isKept ? (
            <CheckCircleFilled aria-label={t("password.kept")} style={{ color: "var(--good)" }} />
          ) : (
            <MinusCircleOutlined aria-label={t("password.not_kept")} />
          )}
          {text}
        </span>
      ))}
    </div>
  );
}
