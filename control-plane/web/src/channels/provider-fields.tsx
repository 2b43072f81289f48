import { useQuery } from "@tanstack/react-query";
import { Button, Form, Input, Select } from "antd";
import { useTranslation } from "react-i18next";
import type { Provider } from "../api/channels.ts";
import { namedModelsQuery } from "../api/models.ts";
import { linesOf } from "./new-channel.ts";
import { PriceMissing } from "./price-missing.tsx";

/** What the catalogue says a channel of this provider needs: address, keys, models, fields of its own. */
export function ProviderFields({ provider }: { provider: Provider }) {
  return (
    <>
      <AddressField provider={provider} />
      <KeysField provider={provider} />
      <ModelsField provider={provider} />
      <OwnFields provider={provider} />
    </>
  );
}

/** The fields that only channels of this provider have, and where it explains them. */
export function OwnFields({ provider, skip = [] }: { provider: Provider; skip?: readonly string[] }) {
  const { t } = useTranslation();
  const fields = provider.fields.filter(field => !skip.includes(field.name));
  return (
    <>
      {fields.map(field => (
        <OwnField key={field.name} field={field} />
      ))}
      {provider.docs && (
        <p className="muted">
          <a href={provider.docs} target="_blank" rel="noreferrer">
            {t("channels.docs_page", { name: provider.name })}
          </a>
        </p>
      )}
    </>
  );
}

function AddressField({ provider }: { provider: Provider }) {
  const { t } = useTranslation();
  const { base_url: address } = provider;
  const isNeeded = address.default === null;
  const check = (_: unknown, typed: string) => {
    if (typed.trim() === "") return isNeeded ? Promise.reject(new Error(t("rules.required"))) : Promise.resolve();
    return isWebAddress(typed.trim()) ? Promise.resolve() : Promise.reject(new Error(t("rules.web_address")));
  };
  return (
    <Form.Item
      name="base_url"
      label={isNeeded ? t("channels.base_url") : t("optional", { what: t("channels.base_url") })}
      extra={address.help}
      rules={[{ validator: check }]}
      validateTrigger="onBlur"
    >
      <Input
        type="url"
        inputMode="url"
        placeholder={address.default ?? (address.is_full_url ? "https://…/v1/chat/completions" : "https://…")}
        spellCheck={false}
      />
    </Form.Item>
  );
}

function KeysField({ provider }: { provider: Provider }) {
  const { t } = useTranslation();
  const { key, keys_page: page } = provider;
  const check = (_: unknown, typed: string) =>
    key.is_optional || linesOf(typed).length > 0 ? Promise.resolve() : Promise.reject(new Error(t("rules.required")));
  return (
    <Form.Item
      name="keys"
      label={key.is_optional ? t("optional", { what: t("channels.keys") }) : t("channels.keys")}
      extra={
        <>
          {t("channels.keys_help")}{" "}
          {page && (
            <a href={page} target="_blank" rel="noreferrer">
              {t("channels.keys_page")}
            </a>
          )}
        </>
      }
      rules={[{ validator: check }]}
      validateTrigger="onBlur"
    >
      <Input.TextArea
        autoSize={{ minRows: 1, maxRows: 6 }}
        placeholder={key.example}
        spellCheck={false}
        autoComplete="off"
        className="mono"
      />
    </Form.Item>
  );
}

function ModelsField({ provider }: { provider: Provider }) {
  const { t } = useTranslation();
  const form = Form.useFormInstance();
  const chosen: string[] = Form.useWatch("models") ?? [];
  const named = useQuery(namedModelsQuery(chosen)).data ?? [];
  const unpriced = named.filter(model => !model.is_priced && chosen.includes(model.model)).map(model => model.model);
  return (
    <Form.Item
      label={t("channels.models")}
      htmlFor="models"
      extra={
        provider.models.length > 0 && (
          <Button
            type="link"
            size="small"
            style={{ paddingInline: 0 }}
            onClick={() => form.setFieldsValue({ models: provider.models })}
          >
            {t("channels.fill_models", { name: provider.name })}
          </Button>
        )
      }
    >
      <Form.Item
        noStyle
        name="models"
        rules={[{ required: true, type: "array", min: 1, message: t("channels.models_rule") }]}
      >
        <Select
          mode="tags"
          tokenSeparators={[",", " ", "\n"]}
          placeholder={t("channels.models_placeholder")}
          options={provider.models.map(name => ({ value: name, label: name }))}
        />
      </Form.Item>
      {unpriced.length > 0 && (
        <div style={{ marginTop: 8 }}>
          <PriceMissing models={unpriced} back={{ form: "channel" }} />
        </div>
      )}
    </Form.Item>
  );
}

function OwnField({ field }: { field: Provider["fields"][number] }) {
  const { t } = useTranslation();
  return (
    <Form.Item
      // the version of addresses is the channel's own field, the others are among its settings
      name={field.name === "api_version" ? field.name : ["settings", "fields", field.name]}
      label={field.is_required ? field.label : t("optional", { what: field.label })}
      extra={field.help}
      rules={field.is_required ? [{ required: true, whitespace: true, message: t("rules.required") }] : []}
    >
      <Input placeholder={field.example} spellCheck={false} />
    </Form.Item>
  );
}

function isWebAddress(text: string): boolean {
  try {
    return ["http:", "https:"].includes(new URL(text).protocol);
  } catch {
    return false;
  }
}
