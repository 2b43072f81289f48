import { Button } from "antd";
import { useTranslation } from "react-i18next";
import { openDialog } from "../layout/open-dialog.ts";

/** Opens the form that puts money on one's own balance. */
export function AddCredit({ type = "default" }: { type?: "default" | "primary" | "link" }) {
  const { t } = useTranslation();
  return (
    <Button type={type} size={type === "link" ? "small" : "middle"} onClick={() => openDialog({ form: "credit" })}>
      {t("credit.add")}
    </Button>
  );
}
