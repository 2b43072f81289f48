import { useQuery } from "@tanstack/react-query";
import { Form, Input, Modal, Select } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { type Provider, providersQuery, useCreateChannel } from "../api/channels.ts";
import { asProblem, type Problem } from "../api/problem.ts";
import { draftOf, dropDraft, keepDraft } from "../parts/drafts.ts";
import { markFields } from "../parts/form-problem.ts";
import { Late } from "../parts/late.tsx";
import { useOutcomeMessage } from "../parts/outcome-message.tsx";
import { ProblemAlert } from "../parts/problem-alert.tsx";
import { AdvancedFields } from "./advanced-fields.tsx";
import { type ChannelValues, EMPTY, newChannel, onProviderChosen } from "./new-channel.ts";
import { ProviderFields } from "./provider-fields.tsx";
import { RoutingFields } from "./routing-fields.tsx";
import { EMPTY_SETTINGS, newSettings, type SettingsValues } from "./settings-values.ts";

const DRAFT = "channel";

/** Makes a channel: the fields are those its provider needs. */
export default function ChannelForm({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation();
  const providers = useQuery(providersQuery);
  const [form] = Form.useForm<ChannelValues>();
  const create = useCreateChannel();
  return (
    <Modal
      open
      title={t("channels.add")}
      okText={t("channels.create")}
      okButtonProps={{ disabled: !providers.data }}
      confirmLoading={create.isPending}
      onOk={form.submit}
      onCancel={onClose}
      width={600}
    >
      {providers.data ? (
        <Fields form={form} create={create} providers={providers.data} onClose={onClose} />
      ) : providers.error ? (
        <ProblemAlert problem={providers.error} onRetry={() => providers.refetch()} />
      ) : (
        <Late rows={8} />
      )}
    </Modal>
  );
}

interface FieldsProps {
  form: ReturnType<typeof Form.useForm<ChannelValues>>[0];
  create: ReturnType<typeof useCreateChannel>;
  providers: readonly Provider[];
  onClose: () => void;
}

function Fields({ form, create, providers, onClose }: FieldsProps) {
  const { t } = useTranslation();
  const tell = useOutcomeMessage();
  const [problem, setProblem] = useState<Problem | null>(null);
  const draft = draftOf<ChannelValues>(DRAFT);
  const [slug, setSlug] = useState(draft.provider);
  const [isAdvanced, setAdvanced] = useState(() => hasAdvanced(draft.settings));
  const provider = providers.find(known => known.slug === slug);

  const choose = (chosenSlug: string) => {
    const chosen = providers.find(known => known.slug === chosenSlug);
    if (!chosen) return;
    const before = form.getFieldsValue(["name", "models"]) as Pick<ChannelValues, "name" | "models">;
    form.setFieldsValue(onProviderChosen(chosen, provider, { name: before.name ?? "", models: before.models ?? [] }));
    // those of another provider mean nothing here
    form.setFieldValue(["settings", "fields"], {});
    setSlug(chosenSlug);
  };
  const submit = (values: ChannelValues) => {
    if (values.provider === undefined) return;
    // those of the part that was never opened, too
    const settings = { ...EMPTY_SETTINGS, ...form.getFieldValue("settings") };
    create.mutate(newChannel({ ...EMPTY, ...values, settings, provider: values.provider }), {
      onSuccess: made => {
        dropDraft(DRAFT);
        tell(Promise.resolve(made), t("channels.created", { name: made.name }));
        onClose();
      },
      onError: thrown => {
        const problem = withKeysTogether(asProblem(thrown));
        if (problem.fields.some(({ field }) => isAdvancedField(field))) setAdvanced(true);
        setProblem(markFields(form, problem));
      },
    });
  };
  return (
    <Form
      form={form}
      layout="vertical"
      requiredMark={false}
      initialValues={{ ...EMPTY, ...draft, settings: { ...EMPTY_SETTINGS, ...draft.settings } }}
      onValuesChange={(_, values) => keepDraft(DRAFT, values)}
      onFinish={submit}
      onFinishFailed={({ errorFields }) => {
        if (errorFields.some(({ name }) => isAdvancedField(name.join(".")))) setAdvanced(true);
      }}
      scrollToFirstError={{ block: "center" }}
    >
      <div className="stack">
        <ProblemAlert problem={problem} />
        <div>
          <Form.Item
            name="provider"
            label={t("channels.provider")}
            rules={[{ required: true, message: t("rules.required") }]}
          >
            <Select
              autoFocus={!slug}
              showSearch={{ optionFilterProp: "label" }}
              placeholder={t("channels.choose_provider")}
              onChange={choose}
              options={providers.map(known => ({ value: known.slug, label: known.name }))}
            />
          </Form.Item>
          {provider && (
            <>
              <Form.Item
                name="name"
                label={t("channels.name")}
                rules={[{ required: true, whitespace: true, message: t("rules.required") }]}
              >
                <Input maxLength={64} />
              </Form.Item>
              <ProviderFields provider={provider} />
              <RoutingFields />
              <AdvancedFields isOpen={isAdvanced} onToggle={setAdvanced} />
            </>
          )}
        </div>
      </div>
    </Form>
  );
}

/** Whether a draft sets something in the part that is folded away: then it is open, so that what is wrong with it shows. */
function hasAdvanced(settings: SettingsValues | undefined): boolean {
  return newSettings({ ...EMPTY_SETTINGS, ...settings, fields: {} }) !== undefined;
}

/** Whether a field is in the part that is folded away. The provider's own are not. */
function isAdvancedField(path: string): boolean {
  return path.startsWith("settings.") && !path.startsWith("settings.fields.");
}

/** The form has one field for one key and for many; the API names either. */
function withKeysTogether(problem: Problem): Problem {
  const fields = problem.fields.map(field => (field.field === "key" ? { ...field, field: "keys" } : field));
  return Object.assign(Object.create(Object.getPrototypeOf(problem)), problem, { fields });
}
