import { CheckOutlined, CopyOutlined } from "@ant-design/icons";
import { Button, Tooltip } from "antd";
import { useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import { copyText } from "./clipboard.ts";

const SHOWN_MILLIS = 2_000;

interface CopyButtonProps {
  text: string;
  /** What is copied, for who cannot see what stands beside the button. */
  what: string;
  /** Shows the word beside the sign. */
  withWord?: boolean;
  isPrimary?: boolean;
}

/** Copies a text and says that it did. */
export function CopyButton({ text, what, withWord = false, isPrimary = false }: CopyButtonProps) {
  const { t } = useTranslation();
  const [state, setState] = useState<"ready" | "copied" | "failed">("ready");
  useEffect(() => {
    if (state === "ready") return;
    const timer = window.setTimeout(() => setState("ready"), SHOWN_MILLIS);
    return () => window.clearTimeout(timer);
  }, [state]);

  const word = t(`copy.${state}`);
  const button = (
    <Button
      type={isPrimary ? "primary" : withWord ? "default" : "text"}
      size={withWord ? "middle" : "small"}
      icon={state === "copied" ? <CheckOutlined /> : <CopyOutlined />}
      aria-label={state === "ready" ? t("copy.what", { what }) : word}
      aria-live="polite"
      onClick={async () => setState((await copyText(text)) ? "copied" : "failed")}
    >
      {withWord ? word : null}
    </Button>
  );
  return withWord ? button : <Tooltip title={word}>{button}</Tooltip>;
}
