import { Button } from "antd";
import { lazy, Suspense, useState } from "react";
import { useTranslation } from "react-i18next";

const CreditForm = lazy(() => import("./credit-form.tsx"));

/** Opens the form that puts money on one's own balance. */
export function AddCredit({ isPrimary = false }: { isPrimary?: boolean }) {
  const { t } = useTranslation();
  const [isOpen, setOpen] = useState(false);
  return (
    <>
      <Button type={isPrimary ? "primary" : "default"} onClick={() => setOpen(true)}>
        {t("credit.add")}
      </Button>
      <Suspense>{isOpen && <CreditForm onClose={() => setOpen(false)} />}</Suspense>
    </>
  );
}
