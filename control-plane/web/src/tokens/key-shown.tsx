import { Alert, Button, Modal } from "antd";
import { useTranslation } from "react-i18next";
import { useBaseUrl } from "../api/status.ts";
import { CopyLine } from "../parts/code-block.tsx";
import { CopyButton } from "../parts/copy-button.tsx";

interface KeyShownProps {
  name: string;
  apiKey: string;
  onClose: () => void;
}

/** Shows a key, once. Pressing beside the dialog does not close it: what is shown once must not be lost by accident. */
export function KeyShown({ name, apiKey, onClose }: KeyShownProps) {
  const { t } = useTranslation();
  const baseUrl = useBaseUrl();
  return (
    <Modal
      open
      title={t("key.title", { name })}
      mask={{ closable: false }}
      onCancel={onClose}
      footer={
        <Button onClick={onClose} data-close>
          {t("key.close")}
        </Button>
      }
    >
      <div className="stack">
        <Alert type="info" showIcon title={t("key.keep")} description={t("key.keep_text")} />
        <div className="stack-tight">
          <span className="muted">{t("key.key")}</span>
          <div className="copy-line" data-key>
            <code>{apiKey}</code>
          </div>
          <div>
            <CopyButton text={apiKey} what={t("key.key")} withWord isPrimary />
          </div>
        </div>
        <div className="stack-tight">
          <span className="muted">{t("connect.base_url")}</span>
          <CopyLine text={baseUrl} what={t("connect.base_url")} />
        </div>
      </div>
    </Modal>
  );
}
