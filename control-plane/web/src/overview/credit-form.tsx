import { Form, Input, Modal } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { useAddCredit } from "../api/people.ts";
import { asProblem, type Problem } from "../api/problem.ts";
import { type MoneyFault, parseUsd } from "../format/money.ts";
import { useFormat } from "../format/use-format.ts";
import { markFields } from "../parts/form-problem.ts";
import { useOutcomeMessage } from "../parts/outcome-message.tsx";
import { ProblemAlert } from "../parts/problem-alert.tsx";

interface Values {
  amount: string;
  reason: string;
}

/** Puts money on one's own balance, with a reason for the ledger. */
export default function CreditForm({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation();
  const { locale, unitsPerUsd, usd } = useFormat();
  const tell = useOutcomeMessage();
  const [form] = Form.useForm<Values>();
  const [problem, setProblem] = useState<Problem | null>(null);
  const add = useAddCredit();
  const submit = (values: Values) => {
    const amount = parseUsd(values.amount, locale, unitsPerUsd);
    if (!amount.ok) return;
    add.mutate(
      { amount: amount.units, reason: values.reason.trim() },
      {
        onSuccess: entry => {
          tell(Promise.resolve(), t("credit.added", { amount: usd(entry.amount) }));
          onClose();
        },
        onError: thrown => setProblem(markFields(form, asProblem(thrown))),
      },
    );
  };
  const check = (_: unknown, typed: string) => {
    const parsed = parseUsd(typed ?? "", locale, unitsPerUsd);
    const fault: MoneyFault | undefined = parsed.ok ? (parsed.units === 0 ? "empty" : undefined) : parsed.fault;
    return fault ? Promise.reject(new Error(t(`money.${fault}`))) : Promise.resolve();
  };
  return (
    <Modal
      open
      title={t("credit.add")}
      okText={t("credit.add")}
      confirmLoading={add.isPending}
      onOk={form.submit}
      onCancel={onClose}
      width={440}
    >
      <Form
        form={form}
        layout="vertical"
        requiredMark={false}
        initialValues={{ reason: t("credit.usual_reason") }}
        onFinish={submit}
      >
        <div className="stack">
          <p className="muted">{t("credit.text")}</p>
          <ProblemAlert problem={problem} />
          <div>
            <Form.Item name="amount" label={t("credit.amount")} rules={[{ validator: check }]} validateTrigger="onBlur">
              <Input autoFocus prefix="$" suffix="USD" inputMode="decimal" autoComplete="off" />
            </Form.Item>
            <Form.Item
              name="reason"
              label={t("credit.reason")}
              extra={t("credit.reason_help")}
              rules={[{ required: true, whitespace: true, message: t("rules.required") }]}
            >
              <Input maxLength={255} />
            </Form.Item>
          </div>
        </div>
      </Form>
    </Modal>
  );
}
