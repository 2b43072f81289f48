import { useMutation, useQueryClient } from "@tanstack/react-query";
import { getRouteApi, useRouter } from "@tanstack/react-router";
import { Button, Form, Input } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { asProblem, type Problem } from "../api/problem.ts";
import { signIn } from "../api/session.ts";
import { LonePage } from "../layout/lone-page.tsx";
import { markFields } from "../parts/form-problem.ts";
import { ProblemAlert } from "../parts/problem-alert.tsx";

const route = getRouteApi("/sign-in");

interface Values {
  username: string;
  password: string;
}

/** Signs in by password, and leads back to the page that asked for it. */
export function SignInPage() {
  const { t } = useTranslation();
  const { next } = route.useSearch();
  const router = useRouter();
  const client = useQueryClient();
  const [form] = Form.useForm<Values>();
  const [problem, setProblem] = useState<Problem | null>(null);
  const enter = useMutation({
    mutationFn: (values: Values) => signIn(client, values.username.trim(), values.password),
    onSuccess: () => router.history.replace(next ?? "/"),
    onError: thrown => {
      const refused = asProblem(thrown);
      setProblem(markFields(form, refused));
      if (refused.code === "bad_credentials") form.getFieldInstance("password")?.focus({ cursor: "all" });
    },
  });
  const required = [{ required: true, message: t("rules.required") }];
  return (
    <LonePage title={t("sign_in.title")}>
      <Form form={form} layout="vertical" requiredMark={false} onFinish={values => enter.mutate(values)}>
        <div className="stack">
          <ProblemAlert problem={problem} />
          <div>
            <Form.Item name="username" label={t("username")} rules={required}>
              <Input autoFocus autoComplete="username" autoCapitalize="none" spellCheck={false} />
            </Form.Item>
            <Form.Item name="password" label={t("password.title")} rules={required}>
              <Input.Password autoComplete="current-password" />
            </Form.Item>
            <Button type="primary" htmlType="submit" block size="large" loading={enter.isPending && { delay: 200 }}>
              {t("sign_in.submit")}
            </Button>
          </div>
        </div>
      </Form>
    </LonePage>
  );
}
