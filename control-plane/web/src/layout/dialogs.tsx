import { lazy, Suspense } from "react";
import { closeDialog, useDialog } from "./open-dialog.ts";

const TokenForm = lazy(() => import("../tokens/token-form.tsx"));
const ChannelForm = lazy(() => import("../channels/channel-form.tsx"));
const SettingsForm = lazy(() => import("../channels/settings-form.tsx"));
const PriceForm = lazy(() => import("../channels/price-form.tsx"));
const CreditForm = lazy(() => import("../overview/credit-form.tsx"));

/**
 * The form that is open, if one is. It lives beside the pages, not inside what opened it: a step that is done goes away, and must not
 * take along the key that the form still shows.
 */
export function Dialogs() {
  const dialog = useDialog();
  return (
    <Suspense>
      {dialog?.form === "token" && <TokenForm onClose={closeDialog} />}
      {dialog?.form === "channel" && <ChannelForm onClose={closeDialog} />}
      {dialog?.form === "settings" && <SettingsForm channel={dialog.channel} onClose={closeDialog} />}
      {dialog?.form === "credit" && <CreditForm onClose={closeDialog} />}
      {dialog?.form === "price" && <PriceForm model={dialog.model} onClose={closeDialog} />}
    </Suspense>
  );
}
