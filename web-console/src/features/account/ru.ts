import type { Translated } from '@/feature'
import type en from './en'

const ru: Translated<typeof en> = {
  title: 'Мой доступ',
  sessions: {
    title: 'Сеансы',
    browser: 'Браузер',
    unknown: 'неизвестен',
    current: 'Этот',
    began: 'Начат',
    used: 'Использован',
    ends: 'Закончится',
    end: 'Завершить',
    endOf: 'Завершить сеанс: {browser}',
    ended: 'Сеанс завершён',
    askEnd: 'Завершить этот сеанс?',
    askEndText: 'Чтобы продолжить, придётся войти снова.',
  },
  tokens: {
    title: 'Личные токены',
    help: 'Для командной строки и автоматизации. Токен может не больше, чем вы сами в момент каждого запроса.',
    none: 'Токенов нет. Командная строка входит сама: codex-k8s login.',
    name: 'Имя',
    scopes: 'Может',
    scope: { read: 'смотреть', write: 'запускать, отменять, повторять', admin: 'менять участников, людей, настройки' },
    created: 'Создан',
    used: 'Использован',
    ends: 'Истекает',
    create: 'Новый токен',
    createText: 'Он показывается один раз, сразу после создания.',
    days: 'Сколько дней действует',
    made: 'Токен {name} создан',
    once: 'Скопируйте сейчас: больше его не показать.',
    copy: 'Скопировать токен',
    seen: 'Готово',
    revoke: 'Отозвать',
    revokeOf: 'Отозвать токен {name}',
    askRevoke: 'Отозвать токен {name}?',
    askRevokeText: 'Всё, что им пользуется, сразу перестанет работать.',
    revoked: 'Токен {name} отозван',
  },
}
export default ru
