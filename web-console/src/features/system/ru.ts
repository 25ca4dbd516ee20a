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
  schema: { title: 'Схема', owner: 'Владелец', present: 'Есть', needed: 'Нужна', ok: 'Обновлена', behind: 'Отстаёт', ahead: 'Новее' },
  processes: {
    title: 'Процессы с соединениями',
    name: 'Процесс',
    address: 'Адрес',
    local: 'локальный сокет',
    connections: 'Соединения',
    since: 'С',
  },
  workers: {
    title: 'Исполнители',
    none: 'Нет ни одного исполнителя: задания ждут.',
    name: 'Исполнитель',
    queues: 'Очереди',
    concurrency: 'Одновременно',
    held: 'Держит',
    heartbeat: 'Признак жизни',
    ago: '{time} назад',
    started: 'Запущен',
    ok: 'Работает',
    late: 'Опаздывает',
    draining: 'Завершается',
    state: 'Состояние',
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
  migrations: { title: 'Миграции', owner: 'Владелец', version: 'Номер', description: 'Что делает', at: 'Выполнена' },
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
