import { LogoutOutlined, UserOutlined } from "@ant-design/icons";
import { useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { App, Button, Dropdown } from "antd";
import { useTranslation } from "react-i18next";
import { asProblem } from "../api/problem.ts";
import { signOut, useSession } from "../api/session.ts";
import { useProblemText } from "../parts/problem-text.ts";

/** Who is signed in, and the way out. */
export function PersonMenu() {
  const { t } = useTranslation();
  const client = useQueryClient();
  const navigate = useNavigate();
  const { message } = App.useApp();
  const textOf = useProblemText();
  const user = useSession()?.user;
  if (!user) return null;

  const leave = async () => {
    try {
      await signOut(client);
      await navigate({ to: "/sign-in" });
    } catch (thrown) {
      message.error(textOf(asProblem(thrown)).title);
    }
  };
  const role = t(`role.${user.role}`);
  const items = [
    { key: "who", type: "group" as const, label: `${user.display_name || user.username} · ${role}` },
    { key: "leave", icon: <LogoutOutlined />, label: t("sign_out") },
  ];
  return (
    <Dropdown trigger={["click"]} menu={{ items, onClick: ({ key }) => key === "leave" && leave() }}>
      <Button type="text" icon={<UserOutlined />} aria-label={t("account", { name: user.username })}>
        <span className="person-name">{user.display_name || user.username}</span>
      </Button>
    </Dropdown>
  );
}
