import { useQuery } from "@tanstack/react-query";
import { Form, Modal } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { type Channel, providersQuery, usePatchChannel } from "../api/channels.ts";
import { asProblem, type Problem } from "../api/problem.ts";
import { markFields } from "../parts/form-problem.ts";
import { Late } from "../parts/late.tsx";
import { useOutcomeMessage } from "../parts/outcome-message.tsx";
import { ProblemAlert } from "../parts/problem-alert.tsx";
import { SettingsFields } from "./advanced-fields.tsx";
import { OwnFields } from "./provider-fields.tsx";
import { EMPTY_SETTINGS, type SettingsValues, settingsPatch, valuesOf } from "./settings-values.ts";

interface Values {
  models: string[];
  settings: SettingsValues;
}

/** Changes what a channel does beyond sending requests on. Secrets are masked; a mask that stays keeps them. */
export default function SettingsForm({ channel, onClose }: { channel: Channel; onClose: () => void }) {
  const { t } = useTranslation();
  const providers = useQuery(providersQuery);
  const provider = providers.data?.find(known => known.slug === channel.provider);
  const [form] = Form.useForm<Values>();
  const [problem, setProblem] = useState<Problem | null>(null);
  const patch = usePatchChannel();
  const tell = useOutcomeMessage();
  const submit = (values: Partial<Values>) => {
    const settings = settingsPatch({ ...EMPTY_SETTINGS, ...values.settings });
    patch.mutate(
      { id: channel.id, patch: { settings } },
      {
        onSuccess: changed => {
          tell(Promise.resolve(changed), t("channels.settings_saved", { name: channel.name }));
          onClose();
        },
        onError: thrown => setProblem(markFields(form, asProblem(thrown))),
      },
    );
  };
  return (
    <Modal
      open
      title={t("channels.settings_of", { name: channel.name })}
      okText={t("channels.settings_save")}
      okButtonProps={{ disabled: !providers.data }}
      confirmLoading={patch.isPending}
      onOk={form.submit}
      onCancel={onClose}
      width={600}
    >
      {providers.data ? (
        <Form
          form={form}
          layout="vertical"
          requiredMark={false}
          initialValues={{ models: channel.models, settings: valuesOf(channel.settings) }}
          onFinish={submit}
          scrollToFirstError={{ block: "center" }}
        >
          <div className="stack">
            <ProblemAlert problem={problem} />
            <div>
              {provider && <OwnFields provider={provider} skip={["api_version"]} />}
              <SettingsFields />
            </div>
          </div>
        </Form>
      ) : providers.error ? (
        <ProblemAlert problem={providers.error} onRetry={() => providers.refetch()} />
      ) : (
        <Late rows={8} />
      )}
    </Modal>
  );
}
