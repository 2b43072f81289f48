import { Form, Input, Modal } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { useCreatePrice } from "../api/prices.ts";
import { asProblem, type Problem } from "../api/problem.ts";
import { parseDecimal } from "../format/money.ts";
import { useFormat } from "../format/use-format.ts";
import { markFields } from "../parts/form-problem.ts";
import { useOutcomeMessage } from "../parts/outcome-message.tsx";
import { ProblemAlert } from "../parts/problem-alert.tsx";

interface Values {
  usd_per_1m_input: string;
  usd_per_1m_output: string;
}

/** Gives a model a price per million tokens: what a provider's price list says. */
export default function PriceForm({ model, onClose }: { model: string; onClose: () => void }) {
  const { t } = useTranslation();
  const { locale } = useFormat();
  const tell = useOutcomeMessage();
  const [form] = Form.useForm<Values>();
  const [problem, setProblem] = useState<Problem | null>(null);
  const create = useCreatePrice();
  const submit = (values: Values) => {
    const figures = {
      usd_per_1m_input: parseDecimal(values.usd_per_1m_input, locale),
      usd_per_1m_output: parseDecimal(values.usd_per_1m_output, locale),
    };
    create.mutate(
      { model, ...figures },
      {
        onSuccess: saved => {
          tell(Promise.resolve(saved), t("price.saved", { model }));
          onClose();
        },
        onError: thrown => setProblem(markFields(form, asProblem(thrown))),
      },
    );
  };
  const check = (_: unknown, typed: string) =>
    parseDecimal(typed ?? "", locale) === null ? Promise.reject(new Error(t("money.not_a_number"))) : Promise.resolve();
  const amount = (name: keyof Values, label: string) => (
    <Form.Item name={name} label={label} rules={[{ validator: check }]} validateTrigger="onBlur">
      <Input prefix="$" suffix={t("price.per_million")} inputMode="decimal" autoComplete="off" />
    </Form.Item>
  );
  return (
    <Modal
      open
      title={t("price.title", { model })}
      okText={t("price.save")}
      confirmLoading={create.isPending}
      onOk={form.submit}
      onCancel={onClose}
      width={440}
    >
      <Form form={form} layout="vertical" requiredMark={false} onFinish={submit}>
        <div className="stack">
          <p className="muted">{t("price.text")}</p>
          <ProblemAlert problem={problem} />
          <div>
            {amount("usd_per_1m_input", t("price.input"))}
            {amount("usd_per_1m_output", t("price.output"))}
          </div>
        </div>
      </Form>
    </Modal>
  );
}
