import { Button } from "antd";
import { useTranslation } from "react-i18next";
import { openDialog } from "../layout/open-dialog.ts";

/** Opens the form for the price of a model. */
export function SetPrice({ model }: { model: string }) {
  const { t } = useTranslation();
  return <Button onClick={() => openDialog({ form: "price", model })}>{t("price.set", { model })}</Button>;
}
