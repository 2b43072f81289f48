import { DesktopOutlined, GlobalOutlined, MoonOutlined, SunOutlined } from "@ant-design/icons";
import { Button, Dropdown } from "antd";
import { useTranslation } from "react-i18next";
import { chooseLanguage, useLanguage } from "../i18n/i18n.ts";
import { type Language, languages } from "../i18n/languages.ts";
import { chooseMode, type Mode, modes, useMode } from "../theme/mode.ts";

const MODE_ICONS: Record<Mode, React.ReactNode> = {
  system: <DesktopOutlined />,
  light: <SunOutlined />,
  dark: <MoonOutlined />,
};

/** Chooses the language. Each stands under its own name. */
export function LanguageSwitch() {
  const { t } = useTranslation();
  const { language } = useLanguage();
  const items = languages.map(({ tag, name }) => ({ key: tag, label: <span lang={tag}>{name}</span> }));
  return (
    <Dropdown
      trigger={["click"]}
      menu={{
        items,
        selectable: true,
        selectedKeys: [language],
        onClick: ({ key }) => chooseLanguage(key as Language),
      }}
    >
      <Button type="text" icon={<GlobalOutlined />} aria-label={t("language")} title={t("language")} />
    </Dropdown>
  );
}

/** Chooses light, dark, or what the system says. */
export function ThemeSwitch() {
  const { t } = useTranslation();
  const mode = useMode();
  const items = modes.map(choice => ({ key: choice, icon: MODE_ICONS[choice], label: t(`theme.${choice}`) }));
  return (
    <Dropdown
      trigger={["click"]}
      menu={{ items, selectable: true, selectedKeys: [mode], onClick: ({ key }) => chooseMode(key as Mode) }}
    >
      <Button type="text" icon={MODE_ICONS[mode]} aria-label={t("theme.title")} title={t("theme.title")} />
    </Dropdown>
  );
}
