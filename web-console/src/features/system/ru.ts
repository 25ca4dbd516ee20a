import type { Translated } from '@/feature'
import type en from './en'

const ru: Translated<typeof en> = {
  title: 'Система',
  version: 'Версия',
  database: {
    title: 'База данных',
    version: 'Сервер',
    started: 'Запущен',
    size: 'Размер',
    connections: 'Соединения',
    of: '{used} из {most}',
  },
  schema: { title: 'Схема', owner: 'Часть', present: 'Установлена', needed: 'Нужна', ok: 'Обновлена', behind: 'Отстаёт', ahead: 'Новее', state: 'Состояние' },
  processes: {
    title: 'Соединения с базой',
    name: 'Процесс',
    address: 'Адрес',
    local: 'локальный сокет',
    connections: 'Соединения',
    since: 'С',
  },
  snapshots: {
    title: 'Старейшие снимки',
    help: 'Кто держит старый снимок, не даёт базе убирать за завершёнными заданиями.',
    none: 'Никто не держит.',
    who: 'Кто',
    state: 'Состояние',
    age: 'Возраст',
    remedy: 'Чем закончить',
  },
  migrations: { title: 'Миграции', owner: 'Часть', version: 'Номер', description: 'Что делает', at: 'Выполнена' },
  settings: {
    title: 'Настройки',
    help: 'Как настроен этот шлюз: переменными окружения, прочитанными при запуске. Секреты не показываются.',
    name: 'Переменная',
    value: 'Значение',
    meaning: 'Что значит',
    secret: 'задан, секрет',
    unset: 'не задано: {value}',
  },
}
export default ru
