import { PlusOutlined } from "@ant-design/icons";
import { Button } from "antd";
import { lazy, Suspense, useState } from "react";
import { useTranslation } from "react-i18next";

const TokenForm = lazy(() => import("./token-form.tsx"));

/** Opens the form for a token. */
export function AddToken({ isPrimary = false }: { isPrimary?: boolean }) {
  const { t } = useTranslation();
  const [isOpen, setOpen] = useState(false);
  return (
    <>
      <Button type={isPrimary ? "primary" : "default"} icon={<PlusOutlined />} onClick={() => setOpen(true)}>
        {t("tokens.add")}
      </Button>
      <Suspense>{isOpen && <TokenForm onClose={() => setOpen(false)} />}</Suspense>
    </>
  );
}
