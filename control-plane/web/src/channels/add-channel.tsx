import { PlusOutlined } from "@ant-design/icons";
import { Button } from "antd";
import { lazy, Suspense, useState } from "react";
import { useTranslation } from "react-i18next";

const ChannelForm = lazy(() => import("./channel-form.tsx"));

/** Opens the form for a channel. */
export function AddChannel({ isPrimary = false }: { isPrimary?: boolean }) {
  const { t } = useTranslation();
  const [isOpen, setOpen] = useState(false);
  return (
    <>
      <Button type={isPrimary ? "primary" : "default"} icon={<PlusOutlined />} onClick={() => setOpen(true)}>
        {t("channels.add")}
      </Button>
      <Suspense>{isOpen && <ChannelForm onClose={() => setOpen(false)} />}</Suspense>
    </>
  );
}
