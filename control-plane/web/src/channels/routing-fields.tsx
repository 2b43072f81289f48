import { useQuery } from "@tanstack/react-query";
import { Collapse, Form, InputNumber, Select } from "antd";
import { useTranslation } from "react-i18next";
import { groupsQuery } from "../api/channels.ts";

/** Who may use the channel, and when it is chosen. The defaults suit a first channel, so this is folded away. */
export function RoutingFields() {
  const { t } = useTranslation();
  const groups = useQuery(groupsQuery).data ?? [];
  const fields = (
    <>
      <Form.Item
        name="groups"
        label={t("channels.groups")}
        extra={t("channels.groups_help")}
        rules={[{ required: true, type: "array", min: 1, message: t("rules.required") }]}
      >
        <Select mode="multiple" options={groups.map(({ name }) => ({ value: name, label: name }))} />
      </Form.Item>
      <Form.Item name="priority" label={t("channels.priority")} extra={t("channels.priority_help")}>
        <InputNumber precision={0} min={-1_000_000} max={1_000_000} style={{ width: 140 }} />
      </Form.Item>
      <Form.Item
        name="weight"
        label={t("channels.weight")}
        extra={t("channels.weight_help")}
        style={{ marginBottom: 0 }}
      >
        <InputNumber precision={0} min={0} max={1_000_000} style={{ width: 140 }} />
      </Form.Item>
    </>
  );
  return (
    <Collapse
      ghost
      size="small"
      styles={{ header: { paddingInline: 0 }, body: { paddingInline: 0 } }}
      items={[{ key: "routing", label: t("channels.routing"), children: fields, forceRender: true }]}
    />
  );
}
