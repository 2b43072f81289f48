import { DeleteOutlined, SettingOutlined } from "@ant-design/icons";
import { App, Button, Switch, Tooltip } from "antd";
import { useTranslation } from "react-i18next";
import { type Channel, useDeleteChannel, usePatchChannel } from "../api/channels.ts";
import { openDialog } from "../layout/open-dialog.ts";
import { StatusLabel } from "../parts/labels.tsx";
import { useOutcomeMessage } from "../parts/outcome-message.tsx";
import { ChannelErrands, LastChecks } from "./channel-errands.tsx";

/** Whether a channel is used, and why Sluice switched it off. */
export function ChannelState({ channel }: { channel: Channel }) {
  const { t } = useTranslation();
  return (
    <span className="stack-tight" style={{ gap: 0, justifyItems: "start" }}>
      {channel.health === "degraded" ? (
        <span className="label label-warn">{t("channels.degraded")}</span>
      ) : (
        <StatusLabel status={channel.status} />
      )}
      {channel.status_reason && <span className="muted">{channel.status_reason}</span>}
      <LastChecks channel={channel} />
    </span>
  );
}

/** Opens a channel's settings, switches it on and off, and deletes it. The last two say first what will happen, and to how many models. */
export function ChannelActions({ channel }: { channel: Channel }) {
  const { t } = useTranslation();
  const { modal } = App.useApp();
  const patch = usePatchChannel();
  const remove = useDeleteChannel();
  const tell = useOutcomeMessage();
  const { id, name } = channel;
  const number = channel.models.length;
  const isOn = channel.status === "enabled";

  const set = (status: "enabled" | "disabled") =>
    tell(patch.mutateAsync({ id, patch: { status } }), t(`channels.${status}`, { name }), () =>
      set(status === "enabled" ? "disabled" : "enabled"),
    );
  const toggle = () => {
    if (!isOn) return set("enabled");
    return modal.confirm({
      title: t("channels.disable_title", { name }),
      content: t("channels.disable_text", { number }),
      okText: t("disable"),
      onOk: () => set("disabled"),
    });
  };
  const askDelete = () =>
    modal.confirm({
      title: t("channels.delete_title", { name }),
      content: t("channels.delete_text", { number }),
      okText: t("delete"),
      okButtonProps: { danger: true },
      onOk: () => tell(remove.mutateAsync(id), t("channels.deleted", { name })),
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
      <ChannelErrands channel={channel} />
      <Tooltip title={t("channels.settings")}>
        <Button
          type="text"
          size="small"
          icon={<SettingOutlined />}
          aria-label={t("channels.settings_of", { name })}
          onClick={() => openDialog({ form: "settings", channel })}
        />
      </Tooltip>
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
