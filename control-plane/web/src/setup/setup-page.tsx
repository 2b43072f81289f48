import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { getRouteApi, Link, useNavigate } from "@tanstack/react-router";
import { Button, Form, Input } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { asProblem, type Problem } from "../api/problem.ts";
import { setUp } from "../api/session.ts";
import { statusQuery } from "../api/status.ts";
import { LonePage } from "../layout/lone-page.tsx";
import { markFields } from "../parts/form-problem.ts";
import { ProblemAlert } from "../parts/problem-alert.tsx";
import { PasswordHints } from "./password-hints.tsx";
import { checkPassword, isAcceptable } from "./password-strength.ts";

const route = getRouteApi("/setup");
const USERNAME = /^[\p{L}\p{N}._@-]{1,64}$/u;

/** The page behind the one-time link that the server prints at its first start: makes the first administrator. */
export function SetupPage() {
  const { t } = useTranslation();
  const { secret } = route.useSearch();
  const [isGone, setGone] = useState(false);
  const isSetUp = useQuery(statusQuery).data?.data.setup ?? false;

  if (isSetUp || isGone) {
    return (
      <LonePage title={t("setup.done_title")} lead={t("setup.done_lead")}>
        <Link to="/sign-in">
          <Button type="primary" block>
            {t("sign_in.title")}
          </Button>
        </Link>
      </LonePage>
    );
  }
  if (!secret) {
    return (
      <LonePage title={t("setup.link_title")}>
        <p>{t("setup.link_text")}</p>
        <p className="muted" style={{ marginTop: 12 }}>
          {t("setup.link_where")}
        </p>
      </LonePage>
    );
  }
  return (
    <LonePage title={t("setup.title")} lead={t("setup.lead")}>
      <SetupForm secret={secret} onGone={() => setGone(true)} />
    </LonePage>
  );
}

interface Values {
  username: string;
  password: string;
}

function SetupForm({ secret, onGone }: { secret: string; onGone: () => void }) {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const client = useQueryClient();
  const [form] = Form.useForm<Values>();
  const [problem, setProblem] = useState<Problem | null>(null);
  const password = Form.useWatch("password", form) ?? "";
  const username = Form.useWatch("username", form) ?? "";
  const start = useMutation({
    mutationFn: (values: Values) => setUp(client, secret, values.username.trim(), values.password),
    onSuccess: () => navigate({ to: "/", replace: true }),
    onError: thrown => {
      const refused = asProblem(thrown);
      if (refused.code === "already_set_up") onGone();
      else setProblem(markFields(form, refused));
    },
  });
  return (
    <Form form={form} layout="vertical" requiredMark={false} onFinish={values => start.mutate(values)}>
      <div className="stack">
        <ProblemAlert problem={problem} />
        <div>
          <Form.Item
            name="username"
            label={t("username")}
            extra={t("setup.username_rule")}
            rules={[
              { required: true, message: t("rules.required") },
              { transform: (value: string) => value.trim(), pattern: USERNAME, message: t("setup.username_rule") },
            ]}
          >
            <Input autoFocus autoComplete="username" autoCapitalize="none" spellCheck={false} maxLength={64} />
          </Form.Item>
          <Form.Item
            name="password"
            label={t("password.title")}
            dependencies={["username"]}
            extra={<PasswordHints id="password-hints" password={password} username={username} />}
            rules={[
              { required: true, message: t("rules.required") },
              ({ getFieldValue }) => ({
                validator: (_, value: string) =>
                  !value || isAcceptable(checkPassword(value, getFieldValue("username") ?? ""))
                    ? Promise.resolve()
                    : Promise.reject(new Error(t("password.breaks_rule"))),
                validateTrigger: "onBlur",
              }),
            ]}
            validateTrigger={["onBlur", "onSubmit"]}
          >
            <Input.Password autoComplete="new-password" aria-describedby="password-hints" />
          </Form.Item>
          <Button type="primary" htmlType="submit" block size="large" loading={start.isPending && { delay: 200 }}>
            {t("setup.submit")}
          </Button>
        </div>
      </div>
    </Form>
  );
}
