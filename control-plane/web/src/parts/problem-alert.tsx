import { Alert, Button } from "antd";
import { useTranslation } from "react-i18next";
import { asProblem } from "../api/problem.ts";
import { CopyButton } from "./copy-button.tsx";
import { useProblemText } from "./problem-text.ts";

interface ProblemAlertProps {
  /** Whatever was thrown; nothing shows nothing. */
  problem: unknown;
  /** Offers to try again. */
  onRetry?: () => void;
}

/** Says what went wrong in the reader's language, what the server said about it, and the id to quote when asking for help. */
export function ProblemAlert({ problem, onRetry }: ProblemAlertProps) {
  const { t } = useTranslation();
  const textOf = useProblemText();
  if (problem === null || problem === undefined) return null;
  const { title, detail, requestId } = textOf(asProblem(problem));
  const retry = onRetry ? (
    <Button size="small" onClick={onRetry}>
      {t("problem.retry")}
    </Button>
  ) : undefined;
  return (
    <Alert
      type="error"
      showIcon
      role="alert"
      title={title}
      action={retry}
      description={
        (detail || requestId) && (
          <>
            {detail && <div>{detail}</div>}
            {requestId && (
              <span className="problem-id muted">
                {t("problem.request_id")}
                <span className="figures">
                  <code className="mono">{requestId}</code>
                  <CopyButton text={requestId} what={t("problem.request_id")} />
                </span>
              </span>
            )}
          </>
        )
      }
    />
  );
}
