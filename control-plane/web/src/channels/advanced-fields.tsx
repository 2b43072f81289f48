import { Collapse, Form, type FormItemProps, Input, Select, Switch } from "antd";
import type { ReactElement } from "react";
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
  return (
    <>
      <Explained name="system_prompt" path={["system_prompt", "text"]}>
        <Input.TextArea autoSize={{ minRows: 2, maxRows: 10 }} />
      </Explained>
      <Choice
        name="prompt_mode"
        path={["system_prompt", "mode"]}
        words={{ fill: "prompt_fill", prepend: "prompt_prepend", replace: "prompt_replace" }}
      />
      <JsonField name="param_override" placeholder='{"temperature": 0.7}' />
      <JsonField name="header_override" placeholder='{"x-team": "search"}' ofTexts />
      <SwitchField name="pass_through_body" />
      <SwitchField name="allow_service_tier" />
      <SwitchField name="allow_safety_identifier" />
      <SwitchField name="disable_store" />
      <LossesField />
      <SwitchField name="force_format" />
      <SwitchField name="thinking_to_content" />
      <SwitchField name="media_to_markdown" />
      <StatusField />
      <ProxyField name="proxy" placeholder="socks5://user:password@10.0.0.1:1080" />
      <Choice name="media_by_url" words={{ "": "media_usual", pass: "media_pass", inline: "media_inline" }} />
      <ProxyField name="media_proxy" placeholder="http://10.0.0.1:3128" />
      <Choice name="key_mode" words={{ random: "key_random", polling: "key_polling" }} />
      <TestModelField />
    </>
  );
}

type Switches = "pass_through_body" | "allow_service_tier" | "allow_safety_identifier" | "disable_store";
type Switched = Switches | "force_format" | "thinking_to_content" | "media_to_markdown";
type Json = "param_override" | "header_override";
type Proxy = "proxy" | "media_proxy";

interface ExplainedProps {
  name: Switched | Json | Proxy | "system_prompt" | "test_model";
  /** Where its value is among the settings, when not under its name. */
  path?: string[];
  /** What is wrong with what was typed; `null`: nothing. */
  fault?: (typed: string) => string | null;
  item?: FormItemProps;
  children: ReactElement;
}

/** A setting with its label and a sentence that says what it does. */
function Explained({ name, path = [name], fault, item, children }: ExplainedProps) {
  const { t } = useTranslation();
  const check = (_: unknown, typed?: string) => {
    const found = fault?.(typed ?? "") ?? null;
    return found === null ? Promise.resolve() : Promise.reject(new Error(found));
  };
  return (
    <Form.Item
      name={["settings", ...path]}
      label={t(`channels.advanced.${name}`)}
      extra={t(`channels.advanced.${name}_help`)}
      {...(fault && { rules: [{ validator: check }], validateTrigger: "onBlur" })}
      {...item}
    >
      {children}
    </Form.Item>
  );
}

type Words =
  | `prompt_${"fill" | "prepend" | "replace"}`
  | `media_${"usual" | "pass" | "inline"}`
  | `key_${"random" | "polling"}`;

interface ChoiceProps {
  name: "prompt_mode" | "media_by_url" | "key_mode";
  path?: string[];
  /** What may be chosen, and how each is called. */
  words: Record<string, Words>;
}

/** A setting that is one of a few words. */
function Choice({ name, path = [name], words }: ChoiceProps) {
  const { t } = useTranslation();
  const options = Object.entries(words).map(([value, word]) => ({ value, label: t(`channels.advanced.${word}`) }));
  return (
    <Form.Item name={["settings", ...path]} label={t(`channels.advanced.${name}`)}>
      <Select options={options} />
    </Form.Item>
  );
}

function SwitchField({ name }: { name: Switched }) {
  return (
    <Explained name={name} item={{ valuePropName: "checked" }}>
      <Switch size="small" />
    </Explained>
  );
}

function JsonField({ name, placeholder, ofTexts = false }: { name: Json; placeholder: string; ofTexts?: boolean }) {
  const { t } = useTranslation();
  const fault = (typed: string) =>
    isJsonObject(typed, ofTexts) ? null : t(ofTexts ? "rules.json_texts" : "rules.json_object");
  return (
    <Explained name={name} fault={fault}>
      <Input.TextArea
        autoSize={{ minRows: 2, maxRows: 14 }}
        placeholder={placeholder}
        spellCheck={false}
        className="mono"
      />
    </Explained>
  );
}

function ProxyField({ name, placeholder }: { name: Proxy; placeholder: string }) {
  const { t } = useTranslation();
  const fault = (typed: string) =>
    /^$|^(https?|socks5h?):\/\/[^\s/?#]+\/?$/.test(typed.trim()) ? null : t("rules.proxy");
  return (
    <Explained name={name} fault={fault}>
      <Input placeholder={placeholder} spellCheck={false} autoComplete="off" />
    </Explained>
  );
}

function TestModelField() {
  const { t } = useTranslation();
  const form = Form.useFormInstance<{ models?: string[]; settings: SettingsValues }>();
  const models: string[] = Form.useWatch("models", { form, preserve: true }) ?? [];
  return (
    <Explained name="test_model" item={{ style: { marginBottom: 0 } }}>
      <Select
        showSearch
        options={[
          { value: "", label: t("channels.advanced.test_model_first") },
          ...models.map(name => ({ value: name, label: name })),
        ]}
      />
    </Explained>
  );
}
