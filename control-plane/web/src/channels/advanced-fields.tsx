import { Collapse, Form, Input, Select, Switch } from "antd";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { LossesField, StatusField } from "./settings-lists.tsx";
import { isJsonObject, type SettingsValues } from "./settings-values.ts";

interface AdvancedProps {
  isOpen: boolean;
  onToggle: (isOpen: boolean) => void;
}

/** What a channel does beyond sending requests on. Few need any of it, so it is folded away, and not there before it is opened once. */
export function AdvancedFields({ isOpen, onToggle }: AdvancedProps) {
  const { t } = useTranslation();
  return (
    <Collapse
      ghost
      size="small"
      activeKey={isOpen ? ["advanced"] : []}
      onChange={keys => onToggle(keys.length > 0)}
      styles={{ header: { paddingInline: 0 }, body: { paddingInline: 0 } }}
      items={[{ key: "advanced", label: t("channels.advanced.title"), children: <SettingsFields /> }]}
    />
  );
}

/** The same, open. */
export function SettingsFields() {
  const { t } = useTranslation();
  return (
    <>
      <PromptFields />
      <JsonField name="param_override" placeholder='{"temperature": 0.7}' />
      <JsonField name="header_override" placeholder='{"x-team": "search"}' ofTexts />
      <SwitchField name="pass_through_body" />
      <SwitchField name="allow_service_tier" />
      <SwitchField name="allow_safety_identifier" />
      <SwitchField name="disable_store" />
      <LossesField />
      <SwitchField name="force_format" />
      <SwitchField name="thinking_to_content" />
      <StatusField />
      <TextField name="proxy" placeholder="socks5://user:password@10.0.0.1:1080" />
      <Form.Item name={["settings", "media_by_url"]} label={t("channels.advanced.media_by_url")}>
        <Select
          options={[
            { value: "", label: t("channels.advanced.media_usual") },
            { value: "pass", label: t("channels.advanced.media_pass") },
            { value: "inline", label: t("channels.advanced.media_inline") },
          ]}
        />
      </Form.Item>
      <TextField name="media_proxy" placeholder="http://10.0.0.1:3128" />
      <Form.Item name={["settings", "key_mode"]} label={t("channels.advanced.key_mode")}>
        <Select
          options={[
            { value: "random", label: t("channels.advanced.key_random") },
            { value: "polling", label: t("channels.advanced.key_polling") },
          ]}
        />
      </Form.Item>
      <TestModelField />
    </>
  );
}

function PromptFields() {
  const { t } = useTranslation();
  return (
    <>
      <Form.Item
        name={["settings", "system_prompt", "text"]}
        label={t("channels.advanced.system_prompt")}
        extra={t("channels.advanced.system_prompt_help")}
      >
        <Input.TextArea autoSize={{ minRows: 2, maxRows: 10 }} />
      </Form.Item>
      <Form.Item name={["settings", "system_prompt", "mode"]} label={t("channels.advanced.prompt_mode")}>
        <Select
          options={[
            { value: "fill", label: t("channels.advanced.prompt_fill") },
            { value: "prepend", label: t("channels.advanced.prompt_prepend") },
            { value: "replace", label: t("channels.advanced.prompt_replace") },
          ]}
        />
      </Form.Item>
    </>
  );
}

type Switches = "pass_through_body" | "allow_service_tier" | "allow_safety_identifier" | "disable_store";

function SwitchField({ name }: { name: Switches | "force_format" | "thinking_to_content" }) {
  const { t } = useTranslation();
  return (
    <Form.Item
      name={["settings", name]}
      label={t(`channels.advanced.${name}`)}
      extra={t(`channels.advanced.${name}_help`)}
      valuePropName="checked"
    >
      <Switch size="small" />
    </Form.Item>
  );
}

interface JsonProps {
  name: "param_override" | "header_override";
  placeholder: string;
  ofTexts?: boolean;
}

function JsonField({ name, placeholder, ofTexts = false }: JsonProps) {
  const { t } = useTranslation();
  const check = (_: unknown, typed: string) =>
    isJsonObject(typed ?? "", ofTexts)
      ? Promise.resolve()
      : Promise.reject(new Error(t(ofTexts ? "rules.json_texts" : "rules.json_object")));
  return (
    <Form.Item
      name={["settings", name]}
      label={t(`channels.advanced.${name}`)}
      extra={t(`channels.advanced.${name}_help`)}
      rules={[{ validator: check }]}
      validateTrigger="onBlur"
    >
      <Input.TextArea
        autoSize={{ minRows: 2, maxRows: 14 }}
        placeholder={placeholder}
        spellCheck={false}
        className="mono"
      />
    </Form.Item>
  );
}

interface TextProps {
  name: "proxy" | "media_proxy";
  placeholder: string;
}

function TextField({ name, placeholder }: TextProps): ReactNode {
  const { t } = useTranslation();
  const check = (_: unknown, typed: string) =>
    /^$|^(https?|socks5h?):\/\/[^\s/?#]+\/?$/.test((typed ?? "").trim())
      ? Promise.resolve()
      : Promise.reject(new Error(t("rules.proxy")));
  return (
    <Form.Item
      name={["settings", name]}
      label={t(`channels.advanced.${name}`)}
      extra={t(`channels.advanced.${name}_help`)}
      rules={[{ validator: check }]}
      validateTrigger="onBlur"
    >
      <Input placeholder={placeholder} spellCheck={false} autoComplete="off" />
    </Form.Item>
  );
}

function TestModelField() {
  const { t } = useTranslation();
  const form = Form.useFormInstance<{ models?: string[]; settings: SettingsValues }>();
  const models: string[] = Form.useWatch("models", { form, preserve: true }) ?? [];
  return (
    <Form.Item
      name={["settings", "test_model"]}
      label={t("channels.advanced.test_model")}
      extra={t("channels.advanced.test_model_help")}
      style={{ marginBottom: 0 }}
    >
      <Select
        showSearch
        options={[
          { value: "", label: t("channels.advanced.test_model_first") },
          ...models.map(name => ({ value: name, label: name })),
        ]}
      />
    </Form.Item>
  );
}
