import { Form, Input, Modal, Segmented, Select } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { asProblem, type Problem } from "../api/problem.ts";
import { type NewToken, useCreateToken } from "../api/tokens.ts";
import { parseUsd } from "../format/money.ts";
import { useFormat } from "../format/use-format.ts";
import { useKnownModels } from "../overview/known-models.ts";
import { draftOf, dropDraft, keepDraft } from "../parts/drafts.ts";
import { markFields } from "../parts/form-problem.ts";
import { ProblemAlert } from "../parts/problem-alert.tsx";
import { EXPIRY_CHOICES, type ExpiryChoice, expiresAt, isComing } from "./expiry.ts";
import { keepFreshKey } from "./fresh-key.ts";
import { KeyShown } from "./key-shown.tsx";
import { ModelOption } from "./model-option.tsx";

/** What the form holds. Names are those of the API where the field is the same. */
export interface TokenValues {
  name: string;
  limit: "none" | "some";
  quota: string;
  expiry: ExpiryChoice;
  expires_at: string;
  models: string[];
}

const EMPTY: TokenValues = { name: "", limit: "none", quota: "", expiry: "never", expires_at: "", models: [] };
const DRAFT = "token";

/** What the API is asked for. The form has checked the values. */
export function newToken(values: TokenValues, locale: string, unitsPerUsd: number, now: number): NewToken {
  const quota = parseUsd(values.quota, locale, unitsPerUsd);
  return {
    name: values.name.trim(),
    ...(values.limit === "some" && quota.ok ? { quota: quota.units } : {}),
    ...(values.expiry === "never" ? {} : { expires_at: expiresAt(values.expiry, values.expires_at, now) }),
    ...(values.models.length > 0 ? { models: values.models } : {}),
  };
}

/** Makes a token, then shows its key. */
export default function TokenForm({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation();
  const { locale, unitsPerUsd } = useFormat();
  const [form] = Form.useForm<TokenValues>();
  const [problem, setProblem] = useState<Problem | null>(null);
  const create = useCreateToken();

  if (create.data) return <KeyShown name={create.data.name} apiKey={create.data.key} onClose={onClose} />;

  const submit = (values: TokenValues) =>
    create.mutate(newToken({ ...EMPTY, ...values }, locale, unitsPerUsd, Date.now()), {
      onSuccess: made => {
        dropDraft(DRAFT);
        keepFreshKey(made.key);
      },
      onError: thrown => setProblem(markFields(form, asProblem(thrown))),
    });
  return (
    <Modal
      open
      title={t("tokens.add")}
      okText={t("tokens.create")}
      confirmLoading={create.isPending}
      onOk={form.submit}
      onCancel={onClose}
      destroyOnHidden
    >
      <Form
        form={form}
        layout="vertical"
        requiredMark={false}
        initialValues={{ ...EMPTY, ...draftOf<TokenValues>(DRAFT) }}
        onValuesChange={(_, values) => keepDraft(DRAFT, values)}
        onFinish={submit}
      >
        <div className="stack">
          <ProblemAlert problem={problem} />
          <div>
            <Form.Item
              name="name"
              label={t("tokens.name")}
              extra={t("tokens.name_help")}
              rules={[{ required: true, whitespace: true, message: t("rules.required") }]}
            >
              <Input autoFocus maxLength={50} />
            </Form.Item>
            <LimitField />
            <ExpiryField />
            <ModelsField />
          </div>
        </div>
      </Form>
    </Modal>
  );
}

function LimitField() {
  const { t } = useTranslation();
  const { locale, unitsPerUsd } = useFormat();
  const limit = Form.useWatch<TokenValues["limit"]>("limit");
  const check = (_: unknown, typed: string) => {
    const parsed = parseUsd(typed, locale, unitsPerUsd);
    return parsed.ok ? Promise.resolve() : Promise.reject(new Error(t(`money.${parsed.fault}`)));
  };
  return (
    <>
      <Form.Item
        name="limit"
        label={t("tokens.limit")}
        extra={limit === "some" ? undefined : t("tokens.limit_none_help")}
      >
        <Segmented
          options={[
            { value: "none", label: t("tokens.limit_none") },
            { value: "some", label: t("tokens.limit_some") },
          ]}
        />
      </Form.Item>
      {limit === "some" && (
        <Form.Item
          name="quota"
          label={t("tokens.quota")}
          extra={t("tokens.quota_help")}
          rules={[{ validator: check }]}
          validateTrigger="onBlur"
        >
          <Input prefix="$" suffix="USD" inputMode="decimal" autoComplete="off" />
        </Form.Item>
      )}
    </>
  );
}

function ExpiryField() {
  const { t } = useTranslation();
  const expiry = Form.useWatch<ExpiryChoice>("expiry");
  const word = (choice: ExpiryChoice) => {
    if (choice === "never") return t("tokens.never");
    return choice === "custom" ? t("tokens.expiry_custom") : t("tokens.days", { count: Number(choice) });
  };
  const check = (_: unknown, value: string) =>
    isComing(value, Date.now()) ? Promise.resolve() : Promise.reject(new Error(t("tokens.expiry_past")));
  return (
    <>
      <Form.Item name="expiry" label={t("tokens.expiry")}>
        <Select options={EXPIRY_CHOICES.map(choice => ({ value: choice, label: word(choice) }))} />
      </Form.Item>
      {expiry === "custom" && (
        <Form.Item
          name="expires_at"
          label={t("tokens.expiry_moment")}
          rules={[{ validator: check }]}
          validateTrigger="onBlur"
        >
          <Input type="datetime-local" />
        </Form.Item>
      )}
    </>
  );
}

function ModelsField() {
  const { t } = useTranslation();
  const { all } = useKnownModels();
  return (
    <Form.Item name="models" label={t("tokens.models")} extra={t("tokens.models_help")} style={{ marginBottom: 0 }}>
      <Select
        mode="tags"
        tokenSeparators={[",", " ", "\n"]}
        placeholder={t("tokens.models_all")}
        options={all.map(model => ({ value: model.model, label: model.model, price: model.price }))}
        optionRender={({ label, data }) => <ModelOption name={label} price={data.price} />}
      />
    </Form.Item>
  );
}
