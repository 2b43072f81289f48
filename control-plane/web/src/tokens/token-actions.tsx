import { DeleteOutlined } from "@ant-design/icons";
import { App, Button, Switch, Tooltip } from "antd";
import { useTranslation } from "react-i18next";
import { type Token, useDeleteToken, usePatchToken } from "../api/tokens.ts";
import { StatusLabel } from "../parts/labels.tsx";
import { useOutcomeMessage } from "../parts/outcome-message.tsx";

/** Whether a token works, with the reason when it does not. */
export function TokenState({ token }: { token: Token }) {
  const { t } = useTranslation();
  if (token.state === "expired" || token.state === "exhausted") {
    return <span className="label label-warn">{t(`tokens.${token.state}`)}</span>;
  }
  return <StatusLabel status={token.status} />;
}

/** Switches a token on and off, and deletes it. Both say first what will happen. */
export function TokenActions({ token }: { token: Token }) {
  const { t } = useTranslation();
  const { modal } = App.useApp();
  const patch = usePatchToken();
  const remove = useDeleteToken();
  const tell = useOutcomeMessage();
  const { id, name } = token;
  const isOn = token.status === "enabled";

  const set = (status: "enabled" | "disabled") =>
    tell(patch.mutateAsync({ id, patch: { status } }), t(`tokens.${status}`, { name }), () =>
      set(status === "enabled" ? "disabled" : "enabled"),
    );
  const toggle = () => {
    if (!isOn) return set("enabled");
    return modal.confirm({
      title: t("tokens.disable_title", { name }),
      content: t("tokens.disable_text"),
      okText: t("disable"),
      onOk: () => set("disabled"),
    });
  };
  const askDelete = () =>
    modal.confirm({
      title: t("tokens.delete_title", { name }),
      content: t("tokens.delete_text"),
      okText: t("delete"),
      okButtonProps: { danger: true },
      onOk: () => tell(remove.mutateAsync(id), t("tokens.deleted", { name })),
    });
  return (
    <span className="row" style={{ justifyContent: "flex-end", flexWrap: "nowrap" }}>
      <Switch
        size="small"
        checked={isOn}
        loading={patch.isPending}
        onChange={toggle}
        aria-label={t(isOn ? "disable_what" : "enable_what", { name })}
      />
      <Tooltip title={t("delete")}>
        <Button
          type="text"
          size="small"
          danger
          icon={<DeleteOutlined />}
          aria-label={t("delete_what", { name })}
          onClick={askDelete}
        />
      </Tooltip>
    </span>
  );
}
