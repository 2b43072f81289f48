import { Button } from "antd";
import { lazy, Suspense, useState } from "react";
import { useTranslation } from "react-i18next";

const PriceForm = lazy(() => import("./price-form.tsx"));

/** Opens the form for the price of a model. */
export function SetPrice({ model }: { model: string }) {
  const { t } = useTranslation();
  const [isOpen, setOpen] = useState(false);
  return (
    <>
      <Button onClick={() => setOpen(true)}>{t("price.set", { model })}</Button>
      <Suspense>{isOpen && <PriceForm model={model} onClose={() => setOpen(false)} />}</Suspense>
    </>
  );
}
