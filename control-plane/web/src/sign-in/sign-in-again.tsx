import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Form, Input, Modal } from "antd";
import { useTranslation } from "react-i18next";
import { signInAgain, useSession } from "../api/session.ts";
import { ProblemAlert } from "../parts/problem-alert.tsx";

interface SignInAgainProps {
  onDone: () => void;
  onClose: () => void;
}

/** Asks for the password again before something that needs a fresh sign-in. */
export default function SignInAgain({ onDone, onClose }: SignInAgainProps) {
  const { t } = useTranslation();
  const client = useQueryClient();
  const username = useSession()?.user.username ?? "";
  const [form] = Form.useForm<{ password: string }>();
  const prove = useMutation({
    mutationFn: ({ password }: { password: string }) => signInAgain(client, username, password),
    onSuccess: onDone,
  });
  return (
    <Modal
      open
      title={t("again.title")}
      okText={t("again.submit")}
      confirmLoading={prove.isPending}
      onOk={form.submit}
      onCancel={onClose}
      width={420}
    >
      <Form form={form} layout="vertical" requiredMark={false} onFinish={values => prove.mutate(values)}>
        <div className="stack">
          <p>{t("again.text", { name: username })}</p>
          <ProblemAlert problem={prove.error} />
          <input type="text" name="username" autoComplete="username" value={username} readOnly hidden />
          <Form.Item
            name="password"
            label={t("password.title")}
            rules={[{ required: true, message: t("rules.required") }]}
            style={{ marginBottom: 0 }}
          >
            <Input.Password autoFocus autoComplete="current-password" />
          </Form.Item>
        </div>
      </Form>
    </Modal>
  );
}
