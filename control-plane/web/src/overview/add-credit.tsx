import { Button } from "antd";
import { useTranslation } from "react-i18next";
import { openDialog } from "../layout/open-dialog.ts";

/** Opens the form that puts money on one's own balance. */
export function AddCredit({ look = "default" }: { look?: "default" | "primary" | "link" }) {
  const { t } = useTranslation();
  const open = () => openDialog({ form: "credit" });
  if (look === "link") {
    return (
      <button type="button" className="plain-button link-button" onClick={open}>
        {t("credit.add")}
      </button>
    );
  }
  return (
    <Button type={look} onClick={open}>
      {t("credit.add")}
    </Button>
  );
}
