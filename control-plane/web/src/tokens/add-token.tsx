import { PlusOutlined } from "@ant-design/icons";
import { Button } from "antd";
import { useTranslation } from "react-i18next";
import { openDialog } from "../layout/open-dialog.ts";

/** Opens the form for a token. */
export function AddToken({ isPrimary = false }: { isPrimary?: boolean }) {
  const { t } = useTranslation();
  return (
    <Button
      type={isPrimary ? "primary" : "default"}
      icon={<PlusOutlined />}
      onClick={() => openDialog({ form: "token" })}
    >
      {t("tokens.add")}
    </Button>
  );
}
