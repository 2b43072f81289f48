import { Button } from "antd";
import { useTranslation } from "react-i18next";
import { openDialog } from "../layout/open-dialog.ts";

/** Opens the form that puts money on one's own balance. */
export function AddCredit({ isPrimary = false }: { isPrimary?: boolean }) {
  const { t } = useTranslation();
  return (
    <Button type={isPrimary ? "primary" : "default"} onClick={() => openDialog({ form: "credit" })}>
      {t("credit.add")}
    </Button>
  );
}
