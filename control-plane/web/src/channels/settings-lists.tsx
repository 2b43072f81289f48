import { DeleteOutlined, PlusOutlined } from "@ant-design/icons";
import { Button, Form, InputNumber, Select } from "antd";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { LOSS_WORDS } from "./loss-words.ts";
import type { SettingsValues } from "./settings-values.ts";

/** What is done with parts of requests that the provider's dialect cannot say. */
export function LossesField() {
  const { t } = useTranslation();
  const rows: SettingsValues["losses"] = Form.useWatch(["settings", "losses"]) ?? [];
  const taken = rows.map(row => row?.word);
  return (
    <Rows name="losses" first={{ on: "reject" }} most={LOSS_WORDS.length}>
      {row => (
        <>
          <Form.Item name={[row, "word"]} noStyle rules={[{ required: true, message: t("rules.required") }]}>
            <Select
              showSearch
              aria-label={t("channels.advanced.loss_word")}
              placeholder={t("channels.advanced.loss_word")}
              style={{ flex: 1 }}
              options={LOSS_WORDS.map(word => ({
                value: word,
                label: word,
                disabled: taken.includes(word) && rows[row]?.word !== word,
              }))}
            />
          </Form.Item>
          <Form.Item name={[row, "on"]} noStyle>
            <Select
              aria-label={t("channels.advanced.on_loss")}
              style={{ width: 180 }}
              options={[
                { value: "drop", label: t("channels.advanced.loss_drop") },
                { value: "reject", label: t("channels.advanced.loss_reject") },
              ]}
            />
          </Form.Item>
        </>
      )}
    </Rows>
  );
}

/** Which status callers are told in place of the upstream's. */
export function StatusField() {
  const { t } = useTranslation();
  const rules = [{ required: true, message: t("rules.required") }];
  return (
    <Rows name="status_mapping" first={{}} most={200}>
      {row => (
        <>
          <Form.Item name={[row, "from"]} noStyle rules={rules}>
            <InputNumber precision={0} min={400} max={599} aria-label={t("channels.advanced.status_from")} />
          </Form.Item>
          <span aria-hidden>→</span>
          <Form.Item name={[row, "to"]} noStyle rules={rules}>
            <InputNumber precision={0} min={400} max={599} aria-label={t("channels.advanced.status_to")} />
          </Form.Item>
        </>
      )}
    </Rows>
  );
}

interface RowsProps {
  name: "losses" | "status_mapping";
  /** What a row is when it is added. */
  first: object;
  most: number;
  children: (row: number) => ReactNode;
}

/** Rows of a few fields each, to be added and taken away. */
function Rows({ name, first, most, children }: RowsProps) {
  const { t } = useTranslation();
  return (
    <Form.Item label={t(`channels.advanced.${name}`)} extra={t(`channels.advanced.${name}_help`)}>
      <Form.List name={["settings", name]}>
        {(rows, { add, remove }, { errors }) => (
          <div className="stack-tight">
            {rows.map(row => (
              <div key={row.key} className="row" style={{ flexWrap: "nowrap" }}>
                {children(row.name)}
                <Button
                  type="text"
                  size="small"
                  icon={<DeleteOutlined />}
                  aria-label={t("channels.advanced.remove_row")}
                  onClick={() => remove(row.name)}
                />
              </div>
            ))}
            <Form.ErrorList errors={errors} />
            {rows.length < most && (
              <Button size="small" icon={<PlusOutlined />} onClick={() => add(first)} style={{ justifySelf: "start" }}>
                {t(`channels.advanced.${name}_add`)}
              </Button>
            )}
          </div>
        )}
      </Form.List>
    </Form.Item>
  );
}
